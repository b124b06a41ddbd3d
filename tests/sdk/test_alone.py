"""The client needs nothing but Python: nothing else is imported, nor has to be installed."""

import subprocess
import sys
from pathlib import Path

import engramia
from tests.sdk.api_server import ApiServer, answer

SOURCE = Path(engramia.__file__).parent.parent

PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])

class OnlyTheStandardLibrary:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top != "engramia" and top not in sys.stdlib_module_names:
            raise ModuleNotFoundError(f"{name} is not in the standard library")

sys.meta_path.insert(0, OnlyTheStandardLibrary())
from engramia.sdk.webhook import EngramiaWebhook
with EngramiaWebhook(sys.argv[2], api_key="k") as client:
    print(client.run_aging(), sorted(n for n in sys.modules if n.startswith("engramia.")))
"""


def test_it_works_where_nothing_is_installed(server: ApiServer) -> None:
    server.then(answer({"pruned": 3}))
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PROGRAM, str(SOURCE), server.url],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""
    pruned, _, loaded = done.stdout.partition(" ")
    assert pruned == "3"
    assert "'engramia.errors'" in loaded
    assert "engramia.core" not in loaded
    assert "engramia.settings" not in loaded
