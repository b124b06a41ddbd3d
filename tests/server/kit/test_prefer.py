import pytest

from engramia.server.kit.prefer import wants_async


@pytest.mark.parametrize(
    "headers",
    [
        ["respond-async"],
        ["respond-async; wait=5"],
        ["respond-async;wait=5, return=minimal"],
        ["wait=5, Respond-Async"],
        ["return=minimal", "respond-async"],
        ['note="a, b; c", respond-async'],
        [r'note="a \" , x", respond-async'],
        ["RESPOND-ASYNC "],
    ],
)
def test_asks_for_an_answer_later(headers: list[str]) -> None:
    assert wants_async(headers)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [""],
        ["wait=5"],
        ["respond-asynchronously"],
        ['note="respond-async"'],
        ['note="a, respond-async, b"'],
        ["return=respond-async"],
        ["wait=5; respond-async"],
    ],
)
def test_does_not_ask_for_it(headers: list[str]) -> None:
    assert not wants_async(headers)
