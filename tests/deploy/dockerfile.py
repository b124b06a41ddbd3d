"""The Dockerfile, read into its instructions."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from tests.deploy.compose import ROOT

DOCKERFILE = ROOT / "Dockerfile"


@dataclass(frozen=True)
class Instruction:
    """One instruction: `RUN`, and what is to be run."""

    word: str
    text: str

    def words(self) -> list[str]:
        """Return the words of the exec form; `ValueError` if it is not in that form."""
        found = json.loads(self.text)
        return [str(word) for word in found]


@dataclass
class Stage:
    """What stands between one FROM and the next."""

    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, word: str) -> list[Instruction]:
        return [each for each in self.instructions if each.word == word]

    def last(self, word: str) -> Instruction:
        return self.all(word)[-1]

    def environment(self) -> dict[str, str]:
        """Return what ENV sets; values here are words without quotes or blanks."""
        return dict(pair.split("=", 1) for each in self.all("ENV") for pair in each.text.split())


def instructions(file: Path = DOCKERFILE) -> list[Instruction]:
    """Return all instructions, continued lines joined and comments left out."""
    kept = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(kept))
    found = [line.split(None, 1) for line in joined.splitlines() if line.strip()]
    return [Instruction(word.upper(), text) for word, text in found]


def arguments(file: Path = DOCKERFILE) -> dict[str, str]:
    """Return the build arguments and their defaults."""
    pairs = (each.text.partition("=") for each in instructions(file) if each.word == "ARG")
    return {name: value.strip('"') for name, _, value in pairs}


def stages(file: Path = DOCKERFILE) -> list[Stage]:
    """Return the stages in their order."""
    found: list[Stage] = []
    for each in instructions(file):
        if each.word == "FROM":
            base, _, name = each.text.partition(" AS ")
            found.append(Stage(base.strip(), name.strip()))
        elif found:
            found[-1].instructions.append(each)
    return found
