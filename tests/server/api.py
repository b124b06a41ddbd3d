"""The whole service over a real socket, as tests talk to it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from engramia.api.app import create_app
from engramia.core.embedding import Embeddings
from engramia.core.llm import LLM
from engramia.core.ports import Clock, Storage
from engramia.settings import Settings
from engramia.testing import HashEmbeddings
from tests.server.serving import Answer, ask, serving

UNLIMITED = {"rate_limit_default": 10**6, "rate_limit_expensive": 10**6, "rate_limit_per_key": 10**6}
JOB_DEADLINE_SECONDS = 20.0


@dataclass(frozen=True)
class Api:
    """A running service."""

    address: tuple[str, int]
    headers: dict[str, str] = field(default_factory=dict)

    def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        """Send one request with `body` as JSON."""
        content = None if body is None else orjson.dumps(body)
        kind = {} if body is None else {"content-type": "application/json"}
        return ask(self.address, method, path, kind | self.headers | (headers or {}), content)

    def get(self, path: str, **headers: str) -> Answer:
        return self.call("GET", path, headers=headers)

    def post(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        return self.call("POST", path, body, headers)

    def learn(self, task: str, score: float = 8.0, **fields: Any) -> str:
        """Store a run and return its key."""
        answer = self.post("/v1/learn", {"task": task, "code": "print(1)", "eval_score": score, **fields})
        assert answer.status == 200, answer.body
        return str(answer.json()["pattern_key"])

    def finished(self, job_id: str) -> Any:
        """Return the job once it is neither pending nor running."""
        ends = time.monotonic() + JOB_DEADLINE_SECONDS
        while time.monotonic() < ends:
            job = self.get(f"/v1/jobs/{job_id}").json()
            if job["status"] not in {"pending", "running"}:
                return job
            time.sleep(0.02)
        raise TimeoutError(f"Job {job_id} did not finish.")


@contextmanager
def service(
    folder: Path,
    *,
    storage: Storage | None = None,
    embeddings: Embeddings | None = None,
    llm: LLM | None = None,
    headers: dict[str, str] | None = None,
    clock: Clock | None = None,
    **settings: Any,
) -> Iterator[Api]:
    """Serve the memory in `folder`, with hashed embeddings unless others are given."""
    chosen = Settings(data_path=folder, **(UNLIMITED | settings))
    app = create_app(chosen, storage=storage, embeddings=embeddings or HashEmbeddings(), llm=llm, clock=clock)
    with serving(app, lifespan="on") as address:
        yield Api(address, headers or {})
