"""One service for the tests of a file, and a project of its own for each of them."""

from collections.abc import Iterator
from itertools import count

import pytest

from tests.server.api import Api, service

_numbers = count(1)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A service without a language model."""
    with service(tmp_path_factory.mktemp("served")) as running:
        yield running


@pytest.fixture
def api(running: Api) -> Api:
    """The service, in a project that nobody has used."""
    return Api(running.address, running.headers | {"x-project-id": f"project{next(_numbers)}"})
