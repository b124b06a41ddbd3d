"""Services to talk to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mcp.clients import Era
from tests.server.api import Api, service


@pytest.fixture(params=["auto", "legacy"])
def era(request: pytest.FixtureRequest) -> Era:
    """Today's stateless revision, and the handshake of those before it."""
    chosen: Era = request.param
    return chosen


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """A service without keys and without a language model."""
    with service(tmp_path / "data") as running:
        yield running
