"""The page about MCP: its program runs, its table is true."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import engramia
from engramia.mcp.tools import TOOLS
from tests.mcp.clients import COMMAND, DEADLINE_SECONDS

PAGE = (Path(__file__).parents[2] / "docs" / "mcp.md").read_text()
ROW = re.compile(r"^\| `(engramia_\w+)` \| .+ \| `([a-z_:]+)` \| (.*?) ?\|$", re.MULTILINE)


def test_the_table_says_what_each_tool_needs_and_hints() -> None:
    said = {name: (permission, hints) for name, permission, hints in ROW.findall(PAGE)}
    assert said.keys() == TOOLS.keys()
    for name, tool in TOOLS.items():
        permission, hints = said[name]
        assert permission == tool.operation.permission
        assert ("read-only" in hints) is tool.reads_only
        assert ("destructive" in hints) is tool.destroys
        assert ("open world" in hints) is tool.operation.needs_llm


@pytest.mark.slow
def test_the_program_runs(tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.+?)```", PAGE, re.DOTALL)
    script = tmp_path / "engramia-mcp"
    sources = Path(engramia.__file__).parent.parent
    script.write_text(
        f"#!/bin/sh\nENGRAMIA_EMBEDDING_MODEL=none PYTHONPATH={sources} exec {' '.join(COMMAND)}\n"
    )
    script.chmod(0o700)
    ended = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin", "HOME": str(tmp_path)},
        capture_output=True,
        timeout=DEADLINE_SECONDS,
        text=True,
    )
    assert ended.stdout.split(maxsplit=1)[1:] == ["logrotate -f app.conf\n"], ended.stderr
