"""The sizes of all-MiniLM-L6-v2 and the tensors it is made of, as its safetensors file names them."""

from collections.abc import Iterator

WIDTH = 384
INNER = 1536
LAYERS = 6
HEADS = 12
VOCABULARY = 30522
POSITIONS = 512
MAX_TOKENS = 256

Shapes = dict[str, tuple[int, ...]]

WORD_TABLE = "embeddings.word_embeddings.weight"


def _norm(prefix: str) -> Shapes:
    return {f"{prefix}.weight": (WIDTH,), f"{prefix}.bias": (WIDTH,)}


def _linear(prefix: str, outputs: int, inputs: int) -> Shapes:
    return {f"{prefix}.weight": (outputs, inputs), f"{prefix}.bias": (outputs,)}


def _layer(prefix: str) -> Iterator[Shapes]:
    for name in ("query", "key", "value"):
        yield _linear(f"{prefix}.attention.self.{name}", WIDTH, WIDTH)
    yield _linear(f"{prefix}.attention.output.dense", WIDTH, WIDTH)
    yield _norm(f"{prefix}.attention.output.LayerNorm")
    yield _linear(f"{prefix}.intermediate.dense", INNER, WIDTH)
    yield _linear(f"{prefix}.output.dense", WIDTH, INNER)
    yield _norm(f"{prefix}.output.LayerNorm")


def _graph_tensors() -> Shapes:
    shapes: Shapes = {
        "embeddings.position_embeddings.weight": (POSITIONS, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
        **_norm("embeddings.LayerNorm"),
    }
    for layer in range(LAYERS):
        for part in _layer(f"encoder.layer.{layer}"):
            shapes |= part
    return shapes


GRAPH_TENSORS = _graph_tensors()
"""Shape by name of what the graph computes with."""

TENSORS: Shapes = {WORD_TABLE: (VOCABULARY, WIDTH)} | GRAPH_TENSORS
"""Shape by name of all that is needed: the graph's tensors and the table of word vectors."""
