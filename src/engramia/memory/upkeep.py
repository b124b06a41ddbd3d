"""Upkeep: aging, filling in vectors, changing the embedding model."""

from collections.abc import Callable

from engramia.core import limits
from engramia.core.query import DecayPolicy
from engramia.errors import ProviderError, ProviderNotConfiguredError
from engramia.memory.engine import Engine, check_model

AGING = DecayPolicy(limits.PATTERN_DECAY_PER_WEEK, limits.PATTERN_PRUNE_BELOW)

FILL_AT_ONCE = 16
"""How many waiting patterns an ordinary learn or recall embeds beside its own work."""

type Progress = Callable[[int, int], None]
"""Called with (done, total) as long work goes on."""


def run_aging(engine: Engine) -> int:
    """Decay every pattern's score by its age, prune what fell low, and return how many went."""
    with engine.storage.writing() as stores:
        return stores.patterns.age(AGING, engine.clock.now())


def fill_some(engine: Engine) -> int:
    """Embed a few patterns that wait for their vectors; return how many got them."""
    return _fill(engine, FILL_AT_ONCE)


def reindex(engine: Engine, progress: Progress) -> int:
    """Make the configured model the store's own and embed all that waits; return how many were embedded.

    Each batch is kept as it is done, so that an interrupted run goes on where it stopped.
    """
    model = engine.embedder.model
    if model is None:
        raise ProviderNotConfiguredError(
            "There is no embedding model to re-embed with; `engramia doctor` tells why."
        )
    with engine.storage.writing() as stores:
        if stores.patterns.embedding_model() != model:
            stores.patterns.use_embedding_model(model)
        total = stores.patterns.waiting_count()
    done = 0
    progress(done, total)
    while filled := _fill(engine, limits.EMBED_BATCH):
        done += filled
        progress(min(done, total), total)
    if engine.embedder.reason:
        raise ProviderError(
            f"Stopped after {done} of {total} patterns: {engine.embedder.reason}. "
            "What was embedded is kept; run `engramia reindex` again to go on."
        )
    return done


def _fill(engine: Engine, limit: int) -> int:
    with engine.storage.reading() as stores:
        check_model(stores.patterns, engine.embedder)
        waiting = stores.patterns.waiting(limit)
    vectors = engine.embedder.embed([task for _, task in waiting]) if waiting else None
    if vectors is None or engine.embedder.model is None:
        return 0
    keys = [key for key, _ in waiting]
    with engine.storage.writing() as stores:
        if stores.patterns.embedding_model() is None:
            stores.patterns.use_embedding_model(engine.embedder.model)
        check_model(stores.patterns, engine.embedder)
        stores.patterns.set_vectors(engine.embedder.model, list(zip(keys, vectors, strict=True)))
    return len(waiting)
