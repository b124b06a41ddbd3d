"""Which rows of tokens go through the network together."""

from collections.abc import Iterator, Sequence

MAX_BATCH_TOKENS = 512
"""Padded tokens of one pass: beyond, a pass gets no faster per token, only larger in memory."""

_PASS_COST = 64
"""What one more pass costs, in tokens: reading all weights takes as long as computing about this many."""


def plan_batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield the positions 0…n-1 in groups of like length; none pads more than a pass costs."""
    batch: list[int] = []
    padding = 0
    for position in sorted(range(len(lengths)), key=lambda position: (lengths[position], position)):
        longest = lengths[position]
        if batch:
            padding += len(batch) * (longest - lengths[batch[-1]])
        if batch and (padding > _PASS_COST or (len(batch) + 1) * longest > MAX_BATCH_TOKENS):
            yield batch
            batch, padding = [], 0
        batch.append(position)
    if batch:
        yield batch
