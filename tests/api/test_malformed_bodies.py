"""Ten thousand malformed bodies at every route that takes one: no failure of the server, and no growth."""

import json
import re
from collections import Counter
from itertools import cycle
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cli.services import Started, started
from tests.server.malformed import fire, malformed

DOCUMENT = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text(encoding="utf-8"))
ROUTES = [
    path.format(key="patterns/" + "0" * 26)
    for path, methods in DOCUMENT["paths"].items()
    if "requestBody" in methods.get("post", {})
]
GROWTH_MAX = 50 << 20
LIMITS = {
    "ENGRAMIA_RATE_LIMIT_DEFAULT": "1000000",
    "ENGRAMIA_RATE_LIMIT_EXPENSIVE": "1000000",
    "ENGRAMIA_EMBEDDING_MODEL": "none",
}


def memory(service: Started) -> int:
    """Return the process's resident memory in bytes."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found.group(1)) << 10


def test_the_routes_are_known() -> None:
    assert len(ROUTES) >= 10


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_none_is_a_failure_of_the_server(tmp_path: Path) -> None:
    statuses = Counter[int]()
    with started(tmp_path, "serve", "--port", "0", **LIMITS) as service:
        where = urlsplit(service.url)
        address = (str(where.hostname), int(where.port or 0))
        warm = 0
        for number, (route, one) in enumerate(zip(cycle(ROUTES), malformed(), strict=False)):
            answer = fire(address, route, one, headers={})
            assert answer.status < 500 or answer.status == 501, (route, one.what, answer.body)
            statuses[answer.status] += 1
            if number == 1_000:
                warm = memory(service)
        grown = memory(service) - warm
        assert service.ask("GET", "/v1/health/live") == (200, {"status": "ok"})
    assert grown < GROWTH_MAX, f"{grown / (1 << 20):.0f} MB, {statuses}"
    assert statuses.keys() <= {200, 400, 404, 413, 415, 422, 501}
    assert statuses[400] > 5_000
