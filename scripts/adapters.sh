#!/bin/sh
# Runs the tests of the adapters for agent frameworks, each in an environment of its own in .adapters/:
#   sh scripts/adapters.sh               all of them (about 3 GB of packages, CrewAI and Claude's among them)
#   sh scripts/adapters.sh light         all but those two
#   sh scripts/adapters.sh dspy crewai   these
#   sh scripts/adapters.sh floors ...    the same, with the least versions that pyproject.toml allows
# An environment is made anew when pyproject.toml is newer than it.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
light="langchain langgraph openai-agents pydantic-ai smolagents llama-index dspy google-adk agent-framework"
heavy="claude-agent crewai"

environments="$root/.adapters" resolution=highest
if [ "${1:-}" = floors ]; then
    # Of what pyproject.toml names; what that needs in turn is as new as it may be.
    environments="$root/.adapters/floors" resolution=lowest-direct
    shift
fi
case "${1:-all}" in
    all) names="$light $heavy" ;;
    light) names="$light" ;;
    *) names="$*" ;;
esac

# What a framework would tell its maker, or keep in the home of whoever runs the tests.
export ANONYMIZED_TELEMETRY=false CREWAI_DISABLE_TELEMETRY=true CREWAI_TRACING_ENABLED=false OTEL_SDK_DISABLED=true
export CREWAI_STORAGE_DIR="$environments/crewai/storage" DSPY_CACHEDIR="$environments/dspy/cache"
export LANGSMITH_TRACING=false OPENAI_AGENTS_DISABLE_TRACING=1 DO_NOT_TRACK=1
export PYTHONPATH="$root/src:$root" PYTHONDONTWRITEBYTECODE=1

versions() {  # of the packages that only this extra asks for
    "$1/bin/python" - "$2" <<-'EOF'
	import re, sys
	from importlib.metadata import requires, version
	mine = re.compile(rf"""([\w.-]+).*;.*extra\s*==\s*['"]{sys.argv[1]}['"]""")
	found = [match[1] for match in map(mine.match, requires("engramia") or ()) if match]
	print(", ".join(f"{name} {version(name)}" for name in found))
	EOF
}

failed=""
for name in $names; do
    folder="$environments/$name"
    if [ ! -f "$folder/.made" ] || [ pyproject.toml -nt "$folder/.made" ]; then
        echo "Installing engramia[$name] into ${folder#"$root"/} ..."
        rm -rf "$folder"
        sh scripts/uv.sh venv --quiet "$folder"
        sh scripts/uv.sh pip install --quiet --resolution "$resolution" --python "$folder/bin/python" \
            --editable ".[$name]" 'pytest>=9' 'pytest-timeout>=2.4'
        touch "$folder/.made"
    fi
    echo "== $name: $(versions "$folder" "$name")"
    # Without its framework every test would be skipped, which is no success. The fixtures of the folders above
    # need what is installed for the project as a whole; what needs no framework is a part of `make test`.
    {
        "$folder/bin/python" -c "import engramia.sdk.$(echo "$name" | tr - _)" &&
            "$folder/bin/python" -m pytest -q --confcutdir tests/sdk/adapters --timeout 300 \
                --ignore tests/sdk/adapters/test_missing.py -k "not plain and not README" tests/sdk/adapters
    } || failed="$failed $name"
done

[ -z "$failed" ] || { echo "Failed:$failed" >&2; exit 1; }
