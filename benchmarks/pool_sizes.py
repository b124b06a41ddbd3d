"""How many recalls a second a process answers, by connections in its pool and threads that ask.

Run: python -m benchmarks.pool_sizes [seconds for each cell]. The best of three rounds counts, each over all
cells in turn, since whatever else the machine does only makes a round slower.
"""

import itertools
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from engramia.core.model import Pattern, PatternRecord, Scope
from engramia.core.query import Search
from engramia.core.ranking import Fusion
from engramia.db import schema
from engramia.db.private_server import PrivateServer
from engramia.db.session import Limits
from engramia.providers.postgres.storage import PostgresStorage
from engramia.testing import FrozenClock

_PATTERNS, _DIMENSION = 2_000, 64
_POOLS, _THREADS = (2, 5, 10, 20), (1, 2, 4, 8, 16, 32)
_ROUNDS = 3
_SCOPE = Scope("bench", "pools")


def main() -> None:
    """Print a line for each pool size: recalls a second by threads."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    folder = Path(tempfile.mkdtemp(prefix="engramia-pools-"))
    with PrivateServer(folder, options={"fsync": "off"}) as server:
        url = server.create_database("bench")
        schema.upgrade(url)
        _fill(url)
        best = dict.fromkeys(itertools.product(_POOLS, _THREADS), 0.0)
        for _, (size, threads) in itertools.product(range(_ROUNDS), best):
            best[size, threads] = max(best[size, threads], _rate(url, size, threads, seconds))
        print("pool" + "".join(f"{threads:>4} threads" for threads in _THREADS))
        for size in _POOLS:
            print(f"{size:>4}" + "".join(f"{best[size, threads]:>10.0f}/s" for threads in _THREADS))
    shutil.rmtree(folder)


def _fill(url: str) -> None:
    storage = PostgresStorage(url)
    draw = np.random.default_rng(1)
    now = FrozenClock().now()
    with storage.scoped(_SCOPE).writing() as stores:
        for number in range(_PATTERNS):
            task = " ".join(f"w{word}" for word in draw.integers(0, 500, 8))
            pattern = Pattern(
                f"patterns/{number:026d}",
                task,
                f"step({number})",
                None,
                7.0,
                now,
                now,
                embedding_model="bench",
            )
            stores.patterns.add(PatternRecord(pattern), _unit(draw))
    storage.close()


def _rate(url: str, size: int, threads: int, seconds: float) -> float:
    """Return recalls a second of one process; each is a transaction of its own."""
    limits = Limits(pool_size=size, overflow=0, pool_timeout=30.0)
    storage = PostgresStorage(url, limits=limits)
    scoped, now = storage.scoped(_SCOPE), FrozenClock().now()
    done = [0] * threads
    begin = threading.Barrier(threads + 1)
    stopping = threading.Event()

    def ask(place: int) -> None:
        draw = np.random.default_rng(place)
        question = Search("w1 w2 w3", _unit(draw), now, Fusion(), min_similarity=0.0, limit=5)
        for warm in (True, False):
            if not warm:
                begin.wait()
            while warm or not stopping.is_set():
                with scoped.reading() as stores:
                    stores.patterns.search(question)
                if warm:
                    break
                done[place] += 1

    asking = [threading.Thread(target=ask, args=(place,)) for place in range(threads)]
    for thread in asking:
        thread.start()
    begin.wait()
    begun = time.perf_counter()
    time.sleep(seconds)
    stopping.set()
    for thread in asking:
        thread.join()
    rate = sum(done) / (time.perf_counter() - begun)
    storage.close()
    return rate


def _unit(draw: np.random.Generator) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    vector = draw.standard_normal(_DIMENSION)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


if __name__ == "__main__":
    main()
