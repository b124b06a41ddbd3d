"""How well hard-coded outputs are found: `python -m benchmarks.adversarial_study [--wrong]`.

Beside it stands the rule "ten characters of the output occur in the code". Reads the labelled snippets that
the tests read, round by round; `--wrong` prints the ones that are judged wrongly.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engramia.core.adversarial import detect

FILES: Final = ("first.txt", "second.txt", "third.txt", "fourth.txt", "fifth.txt")
_FOLDER: Final = Path(__file__).parent.parent / "tests" / "core" / "snippets"
_RUN: Final = 10  # characters of the output that the baseline looks for


@dataclass(frozen=True)
class Snippet:
    """A program with what it showed; `faked` says that the output was hard-coded."""

    language: str
    faked: bool
    kind: str
    code: str
    output: str


@dataclass(frozen=True)
class Measured:
    """Precision and recall (0-1) on `count` snippets."""

    precision: float
    recall: float
    count: int

    def __str__(self) -> str:
        return f"n={self.count:3}  precision {self.precision:.3f}  recall {self.recall:.3f}"


def snippets(name: str) -> Iterator[Snippet]:
    """Yield the snippets of the file `name`."""
    for block in (_FOLDER / name).read_text(encoding="utf-8").split("#### ")[1:]:
        head, _, body = block.partition("\n")
        language, label, kind = head.split()
        code, _, output = body.partition("\n>>>>\n")
        yield Snippet(language, label == "faked", kind, code, output)


def ten_characters(code: str, output: str) -> bool:
    """Return whether ten characters of the output, one behind the other, occur in the code: the baseline."""
    text = output.strip()
    return any(text[at : at + _RUN] in code for at in range(max(len(text) - _RUN + 1, 1)))


def detected(code: str, output: str) -> bool:
    """Return what the product says."""
    return detect(code, output).adversarial


def measured(cases: Sequence[Snippet], method: Callable[[str, str], bool]) -> Measured:
    """Return how well `method` tells the faked ones among `cases`."""
    said = [(method(case.code, case.output), case.faked) for case in cases]
    hits = sum(found and faked for found, faked in said)
    found = sum(each for each, _ in said)
    faked = sum(each for _, each in said)
    return Measured(hits / found if found else 1.0, hits / faked if faked else 1.0, len(cases))


def _table(title: str, cases: Sequence[Snippet]) -> None:
    faked = sum(case.faked for case in cases)
    print(f"\n{title}: {faked} faked, {len(cases) - faked} honest")
    for name, method in (("ten characters", ten_characters), ("detect", detected)):
        print(f"  {name:16}all         {measured(cases, method)}")
        for language in sorted({case.language for case in cases}):
            print(f"  {'':16}{language:12}{measured([c for c in cases if c.language == language], method)}")
    for kind in sorted({case.kind for case in cases if not case.faked}):
        honest = [case for case in cases if case.kind == kind and not case.faked]
        wrong = sum(detected(case.code, case.output) for case in honest)
        baseline = sum(ten_characters(case.code, case.output) for case in honest)
        print(f"  honest, {kind:10} {len(honest)}: wrongly accused {wrong}, by the baseline {baseline}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wrong", action="store_true", help="print the snippets judged wrongly")
    options = parser.parse_args()
    every = {name: list(snippets(name)) for name in FILES}
    for name, cases in every.items():
        _table(name, cases)
    together = [case for cases in every.values() for case in cases]
    _table("together", together)
    start = time.perf_counter()
    verdicts = [detect(case.code, case.output) for case in together]
    print(f"\n{(time.perf_counter() - start) / len(together) * 1000:.2f} ms a snippet")
    for case, verdict in zip(together, verdicts, strict=True):
        if options.wrong and verdict.adversarial != case.faked:
            print(f"\n--- {case.language} {case.kind}\n{case.code}\n>>>>\n{case.output}{verdict.evidence}")


if __name__ == "__main__":
    main()
