"""Downloading the two files from the hub: checked, with deadlines and a line of progress."""

import logging
import queue
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

from engramia.errors import (
    ProviderError,
    ProviderNotConfiguredError,
    ProviderOutputError,
    ProviderTimeoutError,
    ProviderUnreachableError,
)
from engramia.providers.local.extra import extra_installed
from engramia.providers.local.hub import Hub, Progress
from engramia.providers.local.weights import (
    MODEL,
    TOKENIZER_FILE,
    TOKENIZER_SHA256,
    WEIGHTS_FILE,
    WEIGHTS_SHA256,
)

_FILES = {TOKENIZER_FILE: TOKENIZER_SHA256, WEIGHTS_FILE: WEIGHTS_SHA256}
_CHUNK = 1 << 18


def fetch(hub: Hub, folder: Path, progress: Progress | None = None) -> Path:
    """Return `folder` with both files in it and verified; what is there and right is not fetched again.

    Nothing but a whole and verified file gets its name. Raises `ProviderUnreachableError`,
    `ProviderTimeoutError`, `ProviderOutputError` if the bytes are not the official ones, and
    `ProviderNotConfiguredError` if the folder cannot be written or pooch is missing.
    """
    for name, sha256 in _FILES.items():
        _fetch_file(hub, folder, name, sha256, progress or terminal_progress)
    return folder


def terminal_progress(name: str, done: int, total: int) -> None:
    """Write one line of progress to stderr if that is a terminal."""
    if not sys.stderr.isatty():
        return
    share = f"{100 * done // total:3d} %" if total else ""
    end = "\n" if done == total else ""
    sys.stderr.write(f"\rDownloading {MODEL}/{name} {share} {done / 1e6:.1f} MB{end}")
    sys.stderr.flush()


def _fetch_file(hub: Hub, folder: Path, name: str, sha256: str, progress: Progress) -> None:
    with extra_installed():
        import pooch
    # Its line about every file would stand between our lines of progress.
    pooch.get_logger().setLevel(logging.WARNING)
    url = f"{hub.url.rstrip('/')}/{name}"
    download = _Download(hub, name, progress)
    try:
        pooch.retrieve(url, known_hash=f"sha256:{sha256}", fname=name, path=folder, downloader=download)
    except ProviderError:
        raise
    except ValueError as error:  # pooch's word for a hash that does not fit
        raise ProviderOutputError(f"{url} did not bring the official file of {MODEL}.") from error
    except OSError as error:
        raise ProviderNotConfiguredError(f"{folder} cannot hold the download: {error}") from error


@dataclass(frozen=True, slots=True)
class _Download:
    """pooch's downloader: called with the URL and the name of a temporary file."""

    hub: Hub
    name: str
    progress: Progress

    def __call__(self, url: str, output_file: str | IO[bytes], _pooch: object, **_: Any) -> None:
        with _open(url, self.hub.connect_seconds) as response, Path(str(output_file)).open("wb") as file:
            file.writelines(self._chunks(url, response))

    def _chunks(self, url: str, response: HTTPResponse) -> Iterator[bytes]:
        deadline = time.monotonic() + self.hub.seconds
        total = int(response.headers.get("Content-Length") or 0)
        done = 0
        while chunk := _read(url, response):
            done += len(chunk)
            self.progress(self.name, done, total)
            yield chunk
            if time.monotonic() > deadline:
                raise ProviderTimeoutError(f"{url} did not come within {self.hub.seconds:g} s.")
        if done < total:
            raise ProviderUnreachableError(f"{url} broke off after {done} of {total} bytes.")


def _read(url: str, response: HTTPResponse) -> bytes:
    # read1 returns what has come: a server that drips bytes cannot outlast the deadline.
    try:
        return response.read1(_CHUNK)
    except (OSError, HTTPException) as error:
        raise _unreachable(url, error) from error


def _open(url: str, seconds: float) -> HTTPResponse:
    """Return the open response within `seconds`, whatever is slow on the way."""
    if urlsplit(url).scheme not in {"http", "https"}:
        raise ProviderNotConfiguredError(f"{url} is not an http address.")
    answers: queue.SimpleQueue[HTTPResponse | OSError | HTTPException] = queue.SimpleQueue()
    given_up = threading.Event()

    def attempt() -> None:
        try:
            response = urlopen(url, timeout=seconds)  # noqa: S310 (the scheme is checked above)
        except (OSError, HTTPException) as error:
            answers.put(error)
        else:
            answers.put(response)
            if given_up.is_set():
                response.close()

    # A socket's timeout counts each address and each step anew and does not bound the look-up of the name.
    threading.Thread(target=attempt, name="engramia-hub", daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty as error:
        given_up.set()
        raise ProviderTimeoutError(f"{url} did not answer within {seconds:g} s.") from error
    if isinstance(answer, Exception):
        raise _unreachable(url, answer) from answer
    return answer


def _unreachable(url: str, error: Exception) -> ProviderError:
    if isinstance(error, HTTPError):
        error.close()  # it is the open response as well
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return ProviderTimeoutError(f"{url} fell silent.")
    return ProviderUnreachableError(f"{url} cannot be downloaded: {error}")
