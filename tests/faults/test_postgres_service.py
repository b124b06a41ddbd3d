"""The service while its Postgres crashes, freezes, or has much to do: real processes, sockets and keys."""

import itertools
import os
import random
import signal
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from engramia.core.model import EventKind, Scope
from engramia.db.private_server import PrivateServer
from engramia.providers.postgres.storage import PostgresStorage
from tests.faults.postgres_site import (
    OTHERS,
    OURS,
    PATIENCE,
    Client,
    Reply,
    Site,
    finished,
    record,
    run,
    sentence,
    site,
)

pytestmark = pytest.mark.soak  # a database server, and real processes killed

BACK_SECONDS = 5.0
"""From the database's start to the last request that it was too late for."""
GIVEN_UP_SECONDS = 5.0


@dataclass
class Load:
    """Threads that ask for a mixture of things until told to stop."""

    site: Site
    threads: int
    turn: Callable[["Load", Client, random.Random], None]
    clients: list[Client] = field(default_factory=list)
    learned: list[int] = field(default_factory=list)
    """Numbers of runs that the service said it had stored."""
    jobs: list[tuple[str, int]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @contextmanager
    def running(self) -> Iterator[None]:
        over = threading.Event()
        with ThreadPoolExecutor(self.threads) as pool:
            running = [pool.submit(self._work, over, number) for number in range(self.threads)]
            try:
                yield
            finally:
                over.set()
            for each in running:
                each.result()

    def _work(self, over: threading.Event, number: int) -> None:
        client = self.site.client()
        self.clients.append(client)
        chance = random.Random(number)  # noqa: S311 - what to ask is no secret
        try:
            while not over.is_set():
                self.turn(self, client, chance)
        finally:
            client.close()

    @property
    def replies(self) -> list[Reply]:
        return [reply for client in self.clients for reply in list(client.replies)]

    def wait_for_each(self, kinds: set[str], since: float, seconds: float) -> None:
        """Wait until every kind of request that began after `since` has succeeded once."""
        ends = since + seconds
        while True:
            done = {one.what for one in self.replies if one.began >= since and one.status < 300}
            if kinds <= done:
                return
            assert time.monotonic() < ends, (kinds - done, Counter(one.status for one in self.replies))
            time.sleep(0.02)


KINDS = {"learn": 4, "recall": 4, "keys": 2, "job": 1}
"""What is asked for, and how often."""


def mixture(load: Load, client: Client, chance: random.Random) -> None:
    """Do one thing; what stores something is asked for until it is acknowledged."""
    match chance.choices(list(KINDS), list(KINDS.values()))[0]:
        case "learn":
            number = next(load.numbers)
            reply = client.insist("learn", "POST", "/v1/learn", run(number), idempotency_key=f"run-{number}")
            if reply.status == 200:
                load.learned.append(number)
        case "recall":
            client.ask("recall", "POST", "/v1/recall", {"task": sentence(chance.randrange(1, 500))})
        case "keys":
            client.ask("keys", "GET", "/v1/keys")
        case _:
            number = next(load.numbers)
            headers = {"prefer": "respond-async", "idempotency_key": f"import-{number}"}
            reply = client.insist("job", "POST", "/v1/import", {"records": [record(number)]}, **headers)
            if reply.status == 202:
                load.jobs.append((reply.body["job_id"], number))


def crashed_again_and_again(folder: Path, crashes: int, threads: int) -> None:
    with site(folder) as place:
        load = Load(place, threads, mixture)
        chance = random.Random(crashes)  # noqa: S311 - when to crash is no secret
        starts = list[float]()
        with load.running():
            load.wait_for_each(set(KINDS), time.monotonic(), PATIENCE)
            for _ in range(crashes):
                place.postgres.stop(immediate=True)
                time.sleep(chance.uniform(0.0, 1.5))
                place.postgres.start()
                starts.append(time.monotonic())
                load.wait_for_each(set(KINDS), starts[-1], BACK_SECONDS)
                time.sleep(chance.uniform(0.0, 0.5))
            time.sleep(BACK_SECONDS)
        check_answers(load, starts)
        check_everything_is_there(place, load)


def check_answers(load: Load, starts: list[float]) -> None:
    found = Counter((reply.what, reply.status) for reply in load.replies)
    assert {status for _, status in found} == {200, 202, 503}, found
    refused = [reply for reply in load.replies if reply.status == 503]
    assert all(reply.retry_after for reply in refused)
    late = [reply for reply in refused if reply.began > starts[-1] + BACK_SECONDS]
    assert not late, late


def check_everything_is_there(place: Site, load: Load) -> None:
    client = place.client()
    for job_id, _ in load.jobs:
        job = finished(client, job_id)
        assert (job["status"], job["result"]["imported"]) == ("completed", 1), job
    exported = client.ask("export", "GET", "/v1/export").body["records"]
    client.close()
    stored = Counter(one["data"].get("run_id") for one in exported if one["data"].get("run_id"))
    assert stored == Counter(f"run-{number}" for number in load.learned)
    imported = {one["key"] for one in exported if one["data"].get("run_id") is None}
    assert imported == {record(number)["key"] for _, number in load.jobs}


@pytest.mark.timeout(300)
def test_nothing_acknowledged_is_lost_when_the_database_crashes(tmp_path: Path) -> None:
    crashed_again_and_again(tmp_path, 3, threads=4)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_nothing_acknowledged_is_lost_in_twenty_crashes_of_the_database(tmp_path: Path) -> None:
    crashed_again_and_again(tmp_path, 20, threads=8)


@contextmanager
def frozen(server: PrivateServer) -> Iterator[None]:
    """Stop the database server's processes, the first one first, so that it makes no others meanwhile."""
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    stopped = [server.pid, *(int(child) for child in children)]
    try:
        for pid in stopped[1:]:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


ASKED = ("learn", "recall", "keys")


def ask_once(what: str, client: Client, number: int) -> None:
    """Do one thing, and take the first answer to it."""
    match what:
        case "learn":
            client.ask(what, "POST", "/v1/learn", run(number))
        case "recall":
            client.ask(what, "POST", "/v1/recall", {"task": sentence(number)})
        case _:
            client.ask(what, "GET", "/v1/keys")


def always_the_same(load: Load, client: Client, chance: random.Random) -> None:
    """Do what the client does; of all clients each thing is done by as many."""
    ask_once(ASKED[load.clients.index(client) % len(ASKED)], client, chance.randrange(10**6))


def lives(client: Client, seconds: float) -> list[float]:
    """Return how long the service took to say that it lives, again and again."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        assert client.ask("live", "GET", "/v1/health/live").status == 200
        time.sleep(0.01)
    return [reply.seconds for reply in client.replies]


@pytest.mark.timeout(180)
def test_a_frozen_database_is_503_in_time_and_the_service_lives(tmp_path: Path) -> None:
    with site(tmp_path) as place:
        load = Load(place, 9, always_the_same)
        with closing(place.client()) as pulse, load.running():
            load.wait_for_each(set(ASKED), time.monotonic(), PATIENCE)
            with frozen(place.postgres):
                began = time.monotonic()
                taken = lives(pulse, 10.0)
                ended = time.monotonic()
            load.wait_for_each(set(ASKED), ended, BACK_SECONDS)
            time.sleep(BACK_SECONDS)
        assert statistics.quantiles(taken, n=100)[98] <= 0.1, sorted(taken)[-20:]
        assert {reply.status for reply in load.replies} == {200, 503}
        within = [one for one in load.replies if began <= one.began < ended - GIVEN_UP_SECONDS]
        assert {reply.status for reply in within} == {503}, [one for one in within if one.status != 503]
        assert all(reply.retry_after for reply in within)
        assert {reply.what for reply in within} == set(ASKED)
        slowest = max(within, key=lambda reply: reply.seconds)
        assert slowest.seconds <= GIVEN_UP_SECONDS, slowest
        late = [one for one in load.replies if one.status == 503 and one.began > ended + BACK_SECONDS]
        assert not late


def counted_exactly(folder: Path, *, workers: int, threads: int, learns: int) -> None:
    """Learn and recall from many threads against several server processes; compare all counts."""
    with site(folder, workers=workers) as place:
        with closing(place.client()) as client:
            known = client.ask("learn", "POST", "/v1/learn", run(0)).body["pattern_key"]

        def work(thread: int) -> list[Reply]:
            with closing(place.client()) as own:
                for number in range(1 + thread * learns, 1 + (thread + 1) * learns):
                    headers = {"idempotency_key": f"run-{number}"}
                    reply = own.insist("learn", "POST", "/v1/learn", run(number), **headers)
                    assert reply.status == 200, reply
                    if number % 4 == 0:
                        body = {"task": sentence(0), "limit": 1}
                        assert own.ask("recall", "POST", "/v1/recall", body).status == 200
                return own.replies

        with ThreadPoolExecutor(threads) as pool:
            replies = [one for each in pool.map(work, range(threads)) for one in each]
        statuses = Counter((one.what, one.status) for one in replies)
        recalls, runs = statuses["recall", 200], threads * learns + 1
        assert statuses == {("recall", 200): recalls, ("learn", 200): runs - 1}, statuses
        with closing(place.client()) as client:
            metrics = client.ask("metrics", "GET", "/v1/metrics").body
            reused = client.ask("pattern", "GET", f"/v1/patterns/{known}").body["reuse_count"]
        assert (metrics["runs"], metrics["pattern_count"], metrics["reuse_rate"]) == (runs, runs, 1.0)
        assert reused == recalls
        check_events(place.url, runs, recalls)


def check_events(url: str, runs: int, recalls: int) -> None:
    storage = PostgresStorage(url)
    with storage.scoped(OURS).reading() as stores:
        events = stores.activity.events(since=None, kind=None, limit=runs + recalls + 10)
        counts = stores.activity.counts()
    storage.close()
    kinds = Counter(event.kind for event in events)
    assert (kinds[EventKind.LEARN], kinds[EventKind.RECALL]) == (runs, recalls)
    assert (counts.runs, counts.recalls, counts.reused) == (runs, recalls, recalls)


@pytest.mark.timeout(180)
def test_every_learn_and_recall_is_counted_once(tmp_path: Path) -> None:
    counted_exactly(tmp_path, workers=2, threads=16, learns=8)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_every_learn_of_sixty_four_threads_on_four_processes_is_counted_once(tmp_path: Path) -> None:
    counted_exactly(tmp_path, workers=4, threads=64, learns=100)


@pytest.mark.timeout(180)
def test_more_requests_at_once_than_connections_are_all_answered(tmp_path: Path) -> None:
    with site(tmp_path) as place, ThreadPoolExecutor(64) as pool:
        gate = threading.Barrier(64)

        def work(thread: int) -> list[Reply]:
            with closing(place.client()) as client:
                gate.wait(PATIENCE)
                for turn in range(5):
                    ask_once(ASKED[(thread + turn) % len(ASKED)], client, 5 * thread + turn)
                return client.replies

        replies = [reply for each in pool.map(work, range(64)) for reply in each]
    assert Counter(reply.status for reply in replies) == {200: 320}


def beside_an_import(folder: Path, records: int) -> dict[tuple[Scope, str], list[Reply]]:
    """Learn and recall in the project, and in another tenant's, while a job imports; return the answers."""
    with site(folder) as place, ThreadPoolExecutor(4) as pool:
        importer = place.client()
        body = {"records": [record(number) for number in range(records)]}
        over = threading.Event()

        def work(scope: Scope, what: str) -> list[Reply]:
            client = place.client(scope)
            for number in itertools.count(records):
                if over.is_set():
                    break
                content = run(number) if what == "learn" else {"task": sentence(number)}
                client.ask(what, "POST", f"/v1/{what}", content)
            client.close()
            return client.replies

        asked = [(scope, what) for scope in (OURS, OTHERS) for what in ("learn", "recall")]
        accepted = importer.insist("import", "POST", "/v1/import", body, prefer="respond-async")
        assert accepted.status == 202, accepted
        running = [pool.submit(work, *each) for each in asked]
        try:
            job = finished(importer, accepted.body["job_id"])
        finally:
            over.set()
        assert (job["status"], job["result"]["imported"]) == ("completed", records), job
        importer.close()
        return dict(zip(asked, [each.result() for each in running], strict=True))


def check_beside_an_import(answers: dict[tuple[Scope, str], list[Reply]]) -> None:
    """Check that nobody was sent away: who writes where the import does waits for one batch of it."""
    for (scope, what), replies in answers.items():
        assert {reply.status for reply in replies} == {200}, (scope, what)
    assert max(reply.seconds for replies in answers.values() for reply in replies) <= GIVEN_UP_SECONDS


@pytest.mark.timeout(180)
def test_an_import_keeps_nobody_else_from_learning_and_recalling(tmp_path: Path) -> None:
    check_beside_an_import(beside_an_import(tmp_path, 2_000))


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_an_import_of_ten_thousand_keeps_nobody_else_from_learning_and_recalling(tmp_path: Path) -> None:
    check_beside_an_import(beside_an_import(tmp_path, 10_000))
