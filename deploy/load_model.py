"""Verifies the embedding model's files beside this one, and leaves its graph with them."""
# ruff: noqa: INP001 - a script of the image's, no part of a package

from pathlib import Path

from engramia.providers import LocalEmbeddings

FOLDER = Path(__file__).parent / "model"

if __name__ == "__main__":
    LocalEmbeddings(FOLDER, cache_dir=FOLDER, download=False).load()
