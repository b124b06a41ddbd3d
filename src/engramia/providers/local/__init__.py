"""all-MiniLM-L6-v2 in this process: onnxruntime and tokenizers, no torch; loaded at the first use."""

from engramia.providers.local.embedder import LocalEmbeddings
from engramia.providers.local.hub import Hub

__all__ = ["Hub", "LocalEmbeddings"]
