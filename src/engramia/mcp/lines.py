"""Standard input line by line, for an event loop that may have to stop before the next line comes."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

_CHUNK = 1 << 16
_AHEAD = 64
"""Lines that are read before they are wanted."""


class Lines:
    """The lines of a file descriptor.

    A thread reads: only that works for pipes, files and terminals alike. It is a daemon that holds no lock
    while it waits, so that the process can end without it.
    """

    def __init__(self, descriptor: int) -> None:
        """Begin to read; the event loop must run."""
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._lines = asyncio.Queue[str | None]()
        self._room = threading.Semaphore(_AHEAD)
        threading.Thread(target=self._read, name="engramia-stdin", daemon=True).start()

    async def __aiter__(self) -> AsyncIterator[str]:
        """Yield each line; what is not UTF-8 in it is replaced."""
        while (line := await self._lines.get()) is not None:
            self._room.release()
            yield line

    def _read(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody wants what comes
            for line in _lines(self._descriptor):
                self._hand_over(line.decode(errors="replace"))
            self._hand_over(None)

    def _hand_over(self, line: str | None) -> None:
        self._room.acquire()
        self._loop.call_soon_threadsafe(self._lines.put_nowait, line)


def _lines(descriptor: int) -> Iterator[bytes]:
    begun: list[bytes] = []
    while chunk := os.read(descriptor, _CHUNK):
        first, *others = chunk.split(b"\n")
        begun.append(first)
        for other in others:
            yield b"".join(begun)
            begun = [other]
    if any(begun):
        yield b"".join(begun)
