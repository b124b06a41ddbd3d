"""The network of all-MiniLM-L6-v2 as an ONNX graph: token ids in, unit sentence vectors out.

BERT (https://arxiv.org/abs/1810.04805) with 6 layers, 12 heads and the exact (erf) GELU, then the mean over
the tokens and L2 normalisation, as the model's card says. The graph names the weights and holds none: the
tensors of the safetensors file are handed to the session under the same names.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from engramia.providers.local.architecture import GRAPH_TENSORS, HEADS, LAYERS, WIDTH
from engramia.providers.local.extra import extra_installed

OPSET = 20
# Goes into the cached file's name: raise it with every change of this module.
REVISION = 1

_EPSILON = 1e-12
_CONTRIB = "com.microsoft"


def build_graph() -> bytes:
    """Return the serialised ONNX model.

    Inputs: `words` float32 (batch, length, 384), the rows of the word table; `lengths` int32 (batch) counting
    each row's real tokens; `pool` float32 (batch, 1, length) with 1/length on real tokens and 0 on padding.
    Output: `vectors` float32 (batch, 384), rows of length 1.
    """
    with extra_installed():
        import onnx
    graph = _Graph()
    _pool(graph, _encode(graph, _embed(graph)))
    serialised: bytes = graph.model(onnx).SerializeToString()
    return serialised


class _Graph:
    """Nodes and constants of a graph under construction; every method returns the name of what it adds."""

    def __init__(self) -> None:
        self._nodes: list[tuple[str, list[str], str, str, Mapping[str, Any]]] = []
        self._constants: dict[str, list[int]] = {}

    def add(self, kind: str, *inputs: str, domain: str = "", output: str = "", **attributes: Any) -> str:
        name = output or f"{kind}.{len(self._nodes)}"
        self._nodes.append((kind, list(inputs), name, domain, attributes))
        return name

    def integers(self, *values: int) -> str:
        name = "integers." + "_".join(map(str, values))
        self._constants[name] = list(values)
        return name

    def linear(self, x: str, prefix: str) -> str:
        """Return x · Wᵀ + b on rows of tokens."""
        return self.add("Gemm", x, f"{prefix}.weight", f"{prefix}.bias", transB=1)

    def norm(self, x: str, prefix: str) -> str:
        return self.add("LayerNormalization", x, f"{prefix}.weight", f"{prefix}.bias", epsilon=_EPSILON)

    def model(self, onnx: Any) -> Any:
        """Return the onnx.ModelProto."""
        make = onnx.helper
        opsets = [make.make_opsetid("", OPSET), make.make_opsetid(_CONTRIB, 1)]
        graph = make.make_graph(
            [self._node(onnx, *node) for node in self._nodes],
            "all-MiniLM-L6-v2",
            [*_inputs(onnx)],
            [make.make_tensor_value_info("vectors", onnx.TensorProto.FLOAT, ["batch", WIDTH])],
            [*self._initializers(onnx)],
        )
        return make.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="engramia")

    def _node(
        self, onnx: Any, kind: str, inputs: list[str], output: str, domain: str, attributes: Mapping[str, Any]
    ) -> Any:
        return onnx.helper.make_node(kind, inputs, [output], name=output, domain=domain, **attributes)

    def _initializers(self, onnx: Any) -> Iterator[Any]:
        for name, values in self._constants.items():
            yield onnx.helper.make_tensor(name, onnx.TensorProto.INT64, [len(values)], values)
        for name, shape in GRAPH_TENSORS.items():
            yield _external(onnx, name, shape)


def _inputs(onnx: Any) -> Iterator[Any]:
    make, kinds = onnx.helper.make_tensor_value_info, onnx.TensorProto
    yield make("words", kinds.FLOAT, ["batch", "length", WIDTH])
    yield make("lengths", kinds.INT32, ["batch"])
    yield make("pool", kinds.FLOAT, ["batch", 1, "length"])


def _external(onnx: Any, name: str, shape: tuple[int, ...]) -> Any:
    """Return a tensor without bytes, declared as standing elsewhere, which lets the session be given them."""
    tensor = onnx.TensorProto(name=name, data_type=onnx.TensorProto.FLOAT, dims=shape)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights")
    return tensor


def _embed(graph: _Graph) -> str:
    """Add word, position and type embeddings: tokens as rows (batch · length, 384)."""
    length = graph.add("Shape", "words", start=1, end=2)
    positions = graph.add(
        "Slice", "embeddings.position_embeddings.weight", graph.integers(0), length, graph.integers(0)
    )
    kind = graph.add("Gather", "embeddings.token_type_embeddings.weight", graph.integers(0))
    places = graph.add("Add", positions, kind)
    summed = graph.add("Add", "words", places)
    rows = graph.add("Reshape", summed, graph.integers(-1, WIDTH))
    return graph.norm(rows, "embeddings.LayerNorm")


def _encode(graph: _Graph, x: str) -> str:
    batched = graph.add("Shape", "words")
    for layer in range(LAYERS):
        x = _layer(graph, x, batched, f"encoder.layer.{layer}")
    return graph.add("Reshape", x, batched)


def _layer(graph: _Graph, x: str, batched: str, prefix: str) -> str:
    attended = graph.linear(_attention(graph, x, batched, prefix), f"{prefix}.attention.output.dense")
    x = graph.norm(graph.add("Add", attended, x), f"{prefix}.attention.output.LayerNorm")
    inner = graph.add("Gelu", graph.linear(x, f"{prefix}.intermediate.dense"))
    outer = graph.linear(inner, f"{prefix}.output.dense")
    return graph.norm(graph.add("Add", outer, x), f"{prefix}.output.LayerNorm")


def _attention(graph: _Graph, x: str, batched: str, prefix: str) -> str:
    """Add multi-head attention; `lengths` keeps the padding of a row out of it."""
    parts = [
        graph.add("Reshape", graph.linear(x, f"{prefix}.attention.self.{name}"), batched)
        for name in ("query", "key", "value")
    ]
    mixed = graph.add("MultiHeadAttention", *parts, "", "lengths", domain=_CONTRIB, num_heads=HEADS)
    return graph.add("Reshape", mixed, graph.integers(-1, WIDTH))


def _pool(graph: _Graph, x: str) -> None:
    """Add the mean over real tokens, which `pool` weighs, and the normalisation."""
    mean = graph.add("Squeeze", graph.add("MatMul", "pool", x), graph.integers(1))
    graph.add("LpNormalization", mean, axis=-1, p=2, output="vectors")
