"""Runs a program in a process of its own: `python -m tests.sdk.adapters.play NAME PLACE PLAY`.

The place is a folder, or the address of a service, which lets everybody in.
"""

import json
import sys
from pathlib import Path

from engramia import Memory
from engramia.providers import JSONStorage
from engramia.sdk.webhook import EngramiaWebhook
from tests.sdk.adapters.hosts import Play, host


def opened(place: str) -> Memory | EngramiaWebhook:
    """Return the memory that is there."""
    if place.startswith("http://"):
        return EngramiaWebhook(place)
    return Memory(embeddings=None, llm=None, storage=JSONStorage(Path(place)))


def main(name: str, place: str, play: str) -> None:
    """Print what the model was asked, as JSON."""
    with opened(place) as memory:
        heard = host(name).build(memory)(Play(**json.loads(play)))
    sys.stdout.write(f"\n{json.dumps(heard)}\n")


main(*sys.argv[1:])
