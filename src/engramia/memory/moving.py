"""Carrying whole scopes from one storage into another, so that it can be interrupted and begun again."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from engramia.core.contents import NOTHING, Census, Contents, Inventory, Vector, inventory_of
from engramia.core.model import PatternRecord, Scope
from engramia.core.ports import Mover
from engramia.errors import ConflictError, StorageError

_ROUNDS = 3
"""How often a scope is copied that is written to meanwhile, before that is left to a person."""
_EVERY = 100
_NAMED = 5


class Outcome(StrEnum):
    """What became of a scope, or with `dry_run` what would."""

    COPIED = "copied"
    REPLACED = "replaced"
    """Copied over what the target held."""
    THERE_ALREADY = "there_already"
    """The target held just the same."""
    CHANGING = "changing"
    """Copied, and the source was written to again and again: the copy lacks what came last."""


@dataclass(frozen=True, slots=True)
class Moved:
    """One scope: what the source held when it was last read, and what the target holds now."""

    scope: Scope
    outcome: Outcome
    source: Inventory
    target: Inventory


@dataclass(frozen=True, slots=True)
class Step:
    """How far it has come: which scope of how many, and what is being done with it."""

    scope: Scope
    number: int
    scopes: int
    doing: str
    done: int = 0
    patterns: int = 0


type Tell = Callable[[Step], None]


def _silent(_step: Step) -> None:
    """Tell nobody."""


def move(
    source: Mover,
    target: Mover,
    scopes: Sequence[Scope],
    *,
    overwrite: bool = False,
    dry_run: bool = False,
    tell: Tell = _silent,
) -> Sequence[Moved]:
    """Make `target` hold in each of `scopes` what `source` does, and return what became of each.

    A scope is copied in one transaction, read back and compared. One that is equal already is passed by, so
    that an interrupted run goes on where it stopped. A scope of the target that holds anything else raises
    `ConflictError` before anything is written, unless `overwrite`. In the end the source is read once more;
    what was written to it since is copied again.
    """
    run = _Run(source, target, scopes, tell)
    plan = run.planned(dry_run=dry_run)
    _refuse([each.scope for each in plan if each.outcome is Outcome.REPLACED and not overwrite])
    if dry_run:
        return plan
    return run.settled([run.carried_out(each) for each in plan])


def _refuse(held: Sequence[Scope]) -> None:
    if held:
        names = ", ".join(map(name_of, held[:_NAMED])) + (", …" if len(held) > _NAMED else "")
        raise ConflictError(
            f"The target holds other data in {len(held)} of the scopes ({names}). Nothing was written; "
            "--overwrite replaces what it holds there.",
            code="target_not_empty",
        )


def name_of(scope: Scope) -> str:
    """Return the scope for people."""
    return f"{scope.tenant_id}/{scope.project_id}"


class _Run:
    def __init__(self, source: Mover, target: Mover, scopes: Sequence[Scope], tell: Tell) -> None:
        self._source, self._target = source, target
        self._scopes = scopes
        self._tell = tell

    def planned(self, *, dry_run: bool) -> Sequence[Moved]:
        """Look at both sides; the source is counted only where something depends on it."""
        found = []
        for scope in self._scopes:
            there = self._inventory(self._target, scope, "looking at the target")
            here = NOTHING
            if dry_run or there != NOTHING:
                here = self._inventory(self._source, scope, "looking at the source")
            outcome = Outcome.REPLACED
            if there == NOTHING:
                outcome = Outcome.COPIED
            elif there == here:
                outcome = Outcome.THERE_ALREADY
            found.append(Moved(scope, outcome, here, there))
        return found

    def carried_out(self, plan: Moved) -> Moved:
        """Copy a scope as planned."""
        return plan if plan.outcome is Outcome.THERE_ALREADY else self._copied(plan)

    def settled(self, moved: Sequence[Moved]) -> Sequence[Moved]:
        """Copy again what was written to in the source since it was copied, until nothing was."""
        settled = {each.scope: each for each in moved}
        waiting = list(settled.values())
        for left in range(_ROUNDS, -1, -1):
            waiting = [each for each in waiting if self._is_behind(each)]
            for each in waiting:
                again = self._copied(each) if left else replace(each, outcome=Outcome.CHANGING)
                settled[each.scope] = again
            waiting = [settled[each.scope] for each in waiting]
        return list(settled.values())

    def _is_behind(self, moved: Moved) -> bool:
        return self._inventory(self._source, moved.scope, "comparing") != moved.source

    def _copied(self, plan: Moved) -> Moved:
        """Copy a scope over what the target was found to hold, and read it back."""
        census = Census()
        with self._source.reading(plan.scope) as contents:
            told = self._told(plan.scope, "copying", contents)
            self._target.replace(plan.scope, census.over(told), holding=plan.target)
        copied = census.inventory()
        there = self._inventory(self._target, plan.scope, "reading back")
        if there != copied:
            raise StorageError(
                f"{name_of(plan.scope)} does not read back as it was written. Was it written to meanwhile?"
            )
        outcome = Outcome.COPIED if plan.outcome is Outcome.COPIED else Outcome.REPLACED
        return Moved(plan.scope, outcome, copied, there)

    def _inventory(self, mover: Mover, scope: Scope, doing: str) -> Inventory:
        with mover.reading(scope) as contents:
            return inventory_of(self._told(scope, doing, contents))

    def _told(self, scope: Scope, doing: str, contents: Contents) -> Contents:
        number = self._scopes.index(scope) + 1
        step = Step(scope, number, len(self._scopes), doing, 0, contents.pattern_count)
        return replace(contents, patterns=_telling(contents.patterns, step, self._tell))


def _telling(
    patterns: Iterable[tuple[PatternRecord, Vector | None]], step: Step, tell: Tell
) -> Iterator[tuple[PatternRecord, Vector | None]]:
    for done, pattern in enumerate(patterns):
        if done % _EVERY == 0:
            tell(replace(step, done=done))
        yield pattern
    tell(replace(step, done=step.patterns))
