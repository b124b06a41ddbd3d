"""A playing server for each test, and a client of it that does not wait long."""

from collections.abc import Callable, Iterator

import pytest

from engramia.sdk.webhook import EngramiaWebhook
from tests.sdk.api_server import ApiServer, api_server

KEY = "sk_of-a-test"

type Connect = Callable[..., EngramiaWebhook]


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with api_server() as playing:
        yield playing


@pytest.fixture
def connect(server: ApiServer) -> Iterator[Connect]:
    made: list[EngramiaWebhook] = []

    def make(url: str | None = None, **options: object) -> EngramiaWebhook:
        settings: dict[str, object] = {"api_key": KEY, "backoff": 0.001, "timeout": 10.0, **options}
        made.append(EngramiaWebhook(url or server.url, **settings))  # type: ignore[arg-type]  # as a user might
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(connect: Connect) -> EngramiaWebhook:
    return connect()
