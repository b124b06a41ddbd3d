from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.api import Api, service


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with service(tmp_path) as running:
        yield running
