#!/bin/sh
# Runs uv with the arguments given, on a machine where perhaps neither uv nor a fit Python is on the PATH.
# Finds a Python >= 3.12 that really runs (ENGRAMIA_PYTHON, PATH, pyenv's versions, uv's own, /usr/local, /opt),
# takes uv from the PATH or installs it from PyPI into .tools/, and never lets uv download an interpreter.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
tools="$root/.tools"

fits() {  # a shim that cannot start, or an old Python, does not fit
    "$1" -c 'import sys, ssl, venv; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1
}

candidates() {
    [ -z "${ENGRAMIA_PYTHON:-}" ] || echo "$ENGRAMIA_PYTHON"
    for version in 3.12 3.13 3.14; do
        command -v "python$version" || true
        ls -d "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$version"*/bin/python 2>/dev/null || true
        ls -d "${XDG_DATA_HOME:-$HOME/.local/share}"/uv/python/cpython-"$version"*/bin/python3 2>/dev/null || true
        ls -d /usr/bin/"python$version" /usr/local/bin/"python$version" /opt/*/bin/"python$version" 2>/dev/null || true
    done
    command -v python3 || true
    command -v python || true
}

find_python() {
    candidates | while read -r python; do
        if fits "$python"; then
            "$python" -c 'import sys; print(sys.executable)'
            break
        fi
    done
}

install_uv() {  # a venv where ensurepip exists, else pip's --target, which Debian's own Python allows
    echo "Getting uv from PyPI (once, into .tools/) ..." >&2
    rm -rf "$tools"
    if "$1" -m venv "$tools" >/dev/null 2>&1 && "$tools/bin/python" -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1' >&2; then
        return
    fi
    rm -rf "$tools"
    if "$1" -m pip install --quiet --disable-pip-version-check --target "$tools" 'uv>=0.9,<1' >&2; then
        return
    fi
    rm -rf "$tools"
    echo "Could not install uv from PyPI with $1. Install uv yourself (https://docs.astral.sh/uv/) or make pip work for that Python." >&2
    exit 1
}

python=$(find_python)
if [ -z "$python" ]; then
    echo "Engramia needs Python 3.12 or newer, and none that runs was found (PATH, ~/.pyenv/versions, uv's own, /usr/local, /opt)." >&2
    echo "Install one, or name one: ENGRAMIA_PYTHON=/path/to/python3.12 make ..." >&2
    exit 1
fi

if uv --version >/dev/null 2>&1; then
    uv=uv
else
    [ -x "$tools/bin/uv" ] && "$tools/bin/uv" --version >/dev/null 2>&1 || install_uv "$python"
    uv="$tools/bin/uv"
fi

# The system's certificates, so that a company's own certificate authority is trusted.
UV_PYTHON="$python" UV_PYTHON_DOWNLOADS=never UV_SYSTEM_CERTS=true UV_PROJECT_ENVIRONMENT="$root/.venv" exec "$uv" "$@"
