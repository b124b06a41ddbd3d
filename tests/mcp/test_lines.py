"""Standard input, line by line."""

import asyncio
import os
from collections.abc import Iterator

import pytest

from engramia.mcp.lines import Lines


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        try:
            os.close(descriptor)
        except OSError:
            continue  # the test closed it


async def _all(descriptor: int) -> list[str]:
    return [line async for line in Lines(descriptor)]


def test_lines_come_whole_and_the_last_needs_no_end(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    long = "x" * 50_000
    os.write(writing, f"one\n\n{long}\nlast, žluť".encode())
    os.close(writing)
    assert asyncio.run(_all(reading)) == ["one", "", long, "last, žluť"]


def test_what_is_not_utf_8_is_replaced(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.write(writing, b"a\xffb\n")
    os.close(writing)
    assert asyncio.run(_all(reading)) == ["a�b"]


def test_more_lines_than_are_read_ahead_all_come(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.write(writing, b"".join(b"%d\n" % number for number in range(500)))
    os.close(writing)
    assert asyncio.run(_all(reading)) == [str(number) for number in range(500)]


def test_waiting_for_a_line_can_be_cancelled(pipe: tuple[int, int]) -> None:
    reading, _ = pipe

    async def wait() -> None:
        lines = aiter(Lines(reading))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await anext(lines)

    asyncio.run(wait())
