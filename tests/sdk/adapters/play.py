"""Runs a program in a process of its own: `python -m tests.sdk.adapters.play NAME FOLDER PLAY`."""

import json
import sys
from pathlib import Path

from engramia import Memory
from engramia.providers import JSONStorage
from tests.sdk.adapters.hosts import Play, host


def main(name: str, folder: str, play: str) -> None:
    """Print what the model was asked, as JSON."""
    with Memory(embeddings=None, llm=None, storage=JSONStorage(Path(folder))) as memory:
        heard = host(name).build(memory)(Play(**json.loads(play)))
    sys.stdout.write(f"\n{json.dumps(heard)}\n")


main(*sys.argv[1:])
