"""The command line: `engramia`."""

import sys
from importlib.util import find_spec
from io import TextIOWrapper

INSTALL = 'pip install "engramia[cli]"'
INTERRUPTED = 130
_NEEDED = ("typer", "rich")


def main() -> None:
    """Run the command line on the process's own arguments and exit with its code."""
    missing = [module for module in _NEEDED if find_spec(module) is None]
    if missing:
        sys.stderr.write(f"The engramia command needs {' and '.join(missing)}. Install with: {INSTALL}\n")
        sys.exit(1)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal of a small character set shows a question mark rather than nothing.
            stream.reconfigure(errors="replace")
    try:
        from engramia.cli.app import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # While the command itself was still being loaded.
        code = INTERRUPTED
    sys.exit(code)
