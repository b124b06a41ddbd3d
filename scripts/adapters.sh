#!/bin/sh
# Runs the tests of the adapters for agent frameworks, each in an environment of its own in .adapters/:
#   sh scripts/adapters.sh              all of them (about 3 GB of packages, CrewAI and Claude's among them)
#   sh scripts/adapters.sh light        all but those two
#   sh scripts/adapters.sh dspy crewai  these
# An environment is made anew when pyproject.toml is newer than it.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
light="langchain langgraph openai-agents pydantic-ai smolagents llama-index dspy google-adk agent-framework"
heavy="claude-agent crewai"

case "${1:-all}" in
    all) names="$light $heavy" ;;
    light) names="$light" ;;
    *) names="$*" ;;
esac

# What a framework would tell its maker, or keep in the home of whoever runs the tests.
export ANONYMIZED_TELEMETRY=false CREWAI_DISABLE_TELEMETRY=true CREWAI_TRACING_ENABLED=false OTEL_SDK_DISABLED=true
export CREWAI_STORAGE_DIR="$root/.adapters/crewai/storage" DSPY_CACHEDIR="$root/.adapters/dspy/cache"
export LANGSMITH_TRACING=false OPENAI_AGENTS_DISABLE_TRACING=1 DO_NOT_TRACK=1
export PYTHONPATH="$root/src:$root" PYTHONDONTWRITEBYTECODE=1

failed=""
for name in $names; do
    folder="$root/.adapters/$name"
    if [ ! -f "$folder/.made" ] || [ pyproject.toml -nt "$folder/.made" ]; then
        echo "Installing engramia[$name] into .adapters/$name ..."
        rm -rf "$folder"
        sh scripts/uv.sh venv --quiet "$folder"
        sh scripts/uv.sh pip install --quiet --python "$folder/bin/python" \
            --editable ".[$name]" 'pytest>=9' 'pytest-timeout>=2.4'
        touch "$folder/.made"
    fi
    echo "== $name"
    # Without its framework every test would be skipped, which is no success.
    "$folder/bin/python" -c "import engramia.sdk.$(echo "$name" | tr - _)"
    # The fixtures of the folders above need what is installed for the project as a whole.
    "$folder/bin/python" -m pytest -q --confcutdir tests/sdk/adapters --timeout 300 tests/sdk/adapters ||
        failed="$failed $name"
done

[ -z "$failed" ] || { echo "Failed:$failed" >&2; exit 1; }
