"""The memory as an MCP server: over stdio for an editor, over Streamable HTTP inside the service."""

import gc
import sys
from importlib.util import find_spec

INSTALL = 'pip install "engramia[mcp]"'


def main() -> None:
    """Run the stdio server on the process's own arguments and exit with its code."""
    if find_spec("mcp") is None:
        sys.stderr.write(f"engramia-mcp needs the package mcp. Install with: {INSTALL}\n")
        sys.exit(1)
    # An editor waits for this. What is loaded is kept to the end, so looking for garbage in it takes a
    # quarter of the time for nothing, now and once more at the end.
    gc.disable()
    from engramia.mcp.process import run

    gc.freeze()
    gc.enable()
    sys.exit(run(sys.argv[1:]))
