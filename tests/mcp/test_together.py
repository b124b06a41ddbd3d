"""Two editors' servers and the service on one data folder at once: nothing is lost, nothing counted twice."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from mcp.client.client import Client

from tests.e2e.served import serving, settings
from tests.mcp.clients import done, over_http, over_stdio

CALLERS = 3
"""Calls that each door has under way at once."""
SEED = 20_261_121
WORDS = ["csv", "json", "graph", "matrix", "prime", "string", "date", "queue", "image", "socket"]


@dataclass
class Ledger:
    """What the answers said, all in all."""

    learned: list[str] = field(default_factory=list)
    refined: Counter[str] = field(default_factory=Counter)
    reused: Counter[str] = field(default_factory=Counter)
    recalls: int = 0
    hits: int = 0
    calls: int = 0


@dataclass
class Caller:
    """One agent at one door."""

    client: Client
    name: str
    dice: random.Random
    ledger: Ledger
    number: int = 0

    async def act(self) -> None:
        """Make one call, of a kind chosen by the dice."""
        self.ledger.calls += 1
        known = self.ledger.learned
        match self.dice.choices(("learn", "recall", "refine", "metrics"), (4, 4, 2, 1))[0]:
            case "recall":
                await self._recall()
            case "refine" if known:
                await self._refine(self.dice.choice(known))
            case "metrics":
                assert (await self._call("metrics", {}))["runs"] >= 0
            case _:
                await self._learn()

    async def _learn(self) -> None:
        self.number += 1
        words = " ".join(self.dice.sample(WORDS, 3))
        task = f"Write part {self.name}x{self.number} of the {words} program"
        learned = await self._call("learn", {"task": task, "code": f"part({self.number})", "eval_score": 7})
        assert (learned["stored"], learned["duplicate_of"]) == (True, None)
        self.ledger.learned.append(learned["pattern_key"])

    async def _recall(self) -> None:
        found = await self._call("recall", {"task": f"Write the {self.dice.choice(WORDS)} program"})
        tiers = [match["reuse_tier"] for match in found["matches"]]
        self.ledger.recalls += 1
        self.ledger.hits += tiers[:1] in (["duplicate"], ["adapt"])
        self.ledger.reused.update(
            match["pattern_key"] for match in found["matches"] if match["reuse_tier"] != "fresh"
        )

    async def _refine(self, key: str) -> None:
        await self._call("refine", {"pattern_key": key, "eval_score": 5})
        self.ledger.refined[key] += 1

    async def _call(self, tool: str, arguments: dict[str, Any]) -> Any:
        return await done(self.client.call_tool(f"engramia_{tool}", arguments))


@asynccontextmanager
async def doors(folder: Path, url: str) -> AsyncIterator[list[Client]]:
    """Open two editors' servers, one of each era, and the service."""
    parts = urlsplit(url)
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(over_stdio(folder, "auto")),
            await stack.enter_async_context(over_stdio(folder, "legacy")),
            await stack.enter_async_context(over_http((str(parts.hostname), parts.port or 80))),
        ]


async def _mix(folder: Path, url: str, calls: int) -> None:
    ledger, dice = Ledger(), random.Random(SEED)  # noqa: S311 - the same calls in every run
    async with doors(folder, url) as clients:
        callers = [
            Caller(client, f"{door}c{each}", random.Random(dice.random()), ledger)  # noqa: S311 - see above
            for door, client in enumerate(clients)
            for each in range(CALLERS)
        ]
        left = iter(range(calls))

        async def work(caller: Caller) -> None:
            for _ in left:
                await caller.act()

        async with asyncio.TaskGroup() as group:
            for caller in callers:
                group.create_task(work(caller))
        assert ledger.calls == calls
        for client in clients:
            await _compare(client, ledger)


async def _compare(client: Client, ledger: Ledger) -> None:
    """Hold what a door shows against what all answers said."""
    metrics = await done(client.call_tool("engramia_metrics", {}))
    assert metrics["runs"] == metrics["pattern_count"] == len(ledger.learned)
    assert metrics["reuse_rate"] == pytest.approx(ledger.hits / ledger.recalls)
    for key in dict.fromkeys([*ledger.learned[:10], *ledger.refined, *ledger.reused]):
        (content,) = (await client.read_resource(f"engramia://{key}")).contents
        record = content.model_dump()["text"]
        _check(record, key, ledger)


def _check(text: str, key: str, ledger: Ledger) -> None:
    record = json.loads(text)
    assert record["reuse_count"] == ledger.reused[key]
    assert len(record["observations"]) == 1 + ledger.refined[key]


def _run(folder: Path, calls: int, seconds: float) -> None:
    async def bounded(url: str) -> None:
        async with asyncio.timeout(seconds):
            await _mix(folder, url, calls)

    with serving(settings(folder), embeddings=None, llm=None) as url:
        asyncio.run(bounded(url))


@pytest.mark.slow
def test_a_hundred_mixed_calls(tmp_path: Path) -> None:
    _run(tmp_path / "data", 100, 60.0)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_thousand_mixed_calls(tmp_path: Path) -> None:
    _run(tmp_path / "data", 1_000, 500.0)
