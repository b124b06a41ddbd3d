"""What the tests of the adapters share; they also run where nothing but the framework is installed."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

from engramia import Memory
from engramia.providers import JSONStorage
from tests.sdk.adapters.hosts import PACKAGES, Host, host


def installed(package: str) -> bool:
    with suppress(ModuleNotFoundError):  # the parent of a dotted name
        return find_spec(package) is not None
    return False


WARNED_OF = {
    # Its workflows look at every attribute of an agent, those that pydantic has deprecated among them.
    "llama_index": [
        "ignore:The `__fields:DeprecationWarning",
        "ignore:Accessing the 'model_:DeprecationWarning",
    ],
    # What it is made of warns of itself while it is imported.
    "crewai": ["ignore::ImportWarning", "ignore::DeprecationWarning", "ignore::UserWarning"],
}
_HOSTS = [
    pytest.param(each, marks=[pytest.mark.filterwarnings(line) for line in WARNED_OF.get(each, [])])
    for each in PACKAGES
]


@pytest.fixture(params=_HOSTS)
def name(request: pytest.FixtureRequest) -> str:
    """A framework's program, skipped where the framework is not installed."""
    needs = PACKAGES[request.param]
    if not installed(needs):
        pytest.skip(
            f"{needs} is not installed here; `make test-adapters` runs it in an environment of its own"
        )
    return str(request.param)


@pytest.fixture
def played(name: str) -> Host:
    return host(name)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory(embeddings=None, llm=None, storage=JSONStorage(tmp_path / "data")) as opened:
        yield opened


@pytest.fixture
def closed_port() -> str:
    """The address of a port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def silent_server() -> Iterator[str]:
    """The address of a server that takes connections and says nothing."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hold() -> None:
            with suppress(OSError):
                while True:
                    held.append(server.accept()[0])

        thread = threading.Thread(target=hold, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    for connection in held:
        connection.close()
