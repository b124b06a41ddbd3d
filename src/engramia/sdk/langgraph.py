"""LangGraph: a store whose items are patterns of a memory."""

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from operator import eq, ge, gt, le, lt, ne
from types import MappingProxyType
from typing import Any, Final

from engramia.core import limits
from engramia.core.model import Match, OnDuplicate, Recall
from engramia.errors import NotFoundError, ValidationError
from engramia.memory.facade import Memory
from engramia.sdk.extra import extra_installed

with extra_installed("LangGraph", "langgraph"):
    from langgraph.store.base import (
        BaseStore,
        GetOp,
        Item,
        ListNamespacesOp,
        MatchCondition,
        Op,
        PutOp,
        Result,
        SearchItem,
        SearchOp,
        get_text_at_path,
        tokenize_path,
    )

type _Namespace = tuple[str, ...]

_SCORE: Final = 7.0
_PAGE: Final = limits.RECALL_LIMIT_MAX
_DEPTH_MAX: Final = limits.SKILLS_MAX - 2
_HASH_BYTES: Final = 16
_UNINDEXED: Final = "langgraph-unindexed"
_OPERATORS: Final = MappingProxyType[str, Callable[[Any, Any], Any]](
    {"$eq": eq, "$ne": ne, "$gt": gt, "$gte": ge, "$lt": lt, "$lte": le}
)


class EngramiaStore(BaseStore):
    """Keeps a graph's long-term items in a memory, where they are found by meaning.

        graph = builder.compile(store=EngramiaStore(Memory(scope=Scope(project_id="assistant"))))

    Give it a scope of its own: each item is a pattern, which recall would find among an agent's runs. What is
    searched is the text of a value, or of the fields that `index` names. Secrets and personal data in values
    are redacted, as everything is that a memory stores. Times to live are not supported. Unlike the adapters
    that recall and learn beside a run, it raises what goes wrong: a graph that reads its store needs to know.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Do the operations in their order."""
        return [self._done(op) for op in ops]

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Do the operations in their order, in another thread."""
        return await asyncio.to_thread(self.batch, list(ops))

    def _done(self, op: Op) -> Result:
        match op:
            case GetOp():
                return self._get(op.namespace, op.key)
            case PutOp():
                self._put(op)
                return None
            case SearchOp():
                return list(islice(self._search(op), op.offset, op.offset + op.limit))
            case ListNamespacesOp():
                return self._namespaces(op)
            case _:
                raise ValidationError(f"There is no operation {type(op).__name__}.", field="ops")

    def _get(self, namespace: _Namespace, key: str) -> Item | None:
        versions = self._tagged(_tag(namespace, key))
        newest = max(versions, key=lambda match: _updated(match.pattern.code), default=None)
        if newest is None:
            return None
        kept = json.loads(newest.pattern.code)
        # Names may have been redacted in what is stored; here they are known.
        return Item(**{**kept, "namespace": namespace, "key": key})

    def _put(self, op: PutOp) -> None:
        tag = _tag(op.namespace, op.key)
        older = list(self._tagged(tag))
        if op.value is not None:
            self._learn(op, tag, older)
        for match in older:
            self._delete(match.pattern_key)

    def _learn(self, op: PutOp, tag: str, older: Sequence[Match]) -> None:
        now = self._memory.engine.clock.now().isoformat()
        created = json.loads(older[0].pattern.code)["created_at"] if older else now
        kept = {
            "namespace": op.namespace,
            "key": op.key,
            "value": op.value,
            "created_at": created,
            "updated_at": now,
        }
        self._memory.learn(
            task=_text(op)[: limits.TASK_MAX_CHARS],
            code=_as_json(kept),
            eval_score=_SCORE,
            skills=_tags(op, tag),
            on_duplicate=OnDuplicate.KEEP_BOTH,
        )

    def _delete(self, pattern_key: str) -> None:
        try:
            self._memory.delete_pattern(pattern_key)
        except NotFoundError:
            return  # somebody else has put the same item at the same moment

    def _search(self, op: SearchOp) -> Iterator[SearchItem]:
        prefix = _tag(op.namespace_prefix)
        found = self._recalled(op.query, prefix) if op.query else self._tagged(prefix)
        for match in found:
            kept = json.loads(match.pattern.code)
            if _passes(kept["value"], op.filter or {}):
                yield SearchItem(**kept, score=match.similarity if op.query else None)

    def _recalled(self, query: str, prefix: str) -> Iterator[Match]:
        for match in _paged(
            lambda offset: self._memory.recall(
                query[: limits.TASK_MAX_CHARS],
                limit=_PAGE,
                offset=offset,
                deduplicate=False,
                eval_weighted=False,
                min_similarity=0.0,
                readonly=True,
            )
        ):
            if prefix in match.pattern.skills and _UNINDEXED not in match.pattern.skills:
                yield match

    def _tagged(self, tag: str) -> Iterator[Match]:
        return _paged(lambda offset: self._memory.find_by_skills([tag], limit=_PAGE, offset=offset))

    def _namespaces(self, op: ListNamespacesOp) -> list[_Namespace]:
        known = {tuple(json.loads(match.pattern.code)["namespace"]) for match in self._tagged(_tag(()))}
        fitting = {each for each in known if all(_fits(each, it) for it in op.match_conditions or ())}
        cut = sorted({each[: op.max_depth] for each in fitting})
        return cut[op.offset : op.offset + op.limit]


def _paged(page: Callable[[int], Recall]) -> Iterator[Match]:
    offset: int | None = 0
    while offset is not None:
        matches = page(offset)
        yield from matches
        offset = matches.next_offset


def _tag(namespace: _Namespace, key: str | None = None) -> str:
    """Return the tag of an item, or of all items in a namespace and below it: a hash, as tags are short."""
    name = json.dumps([namespace, key] if key is not None else [namespace])
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=_HASH_BYTES).hexdigest()
    return f"langgraph-{digest}"


def _tags(op: PutOp, tag: str) -> list[str]:
    if len(op.namespace) > _DEPTH_MAX:
        raise ValidationError(f"A namespace has at most {_DEPTH_MAX} labels here.", field="namespace")
    above = [_tag(op.namespace[:depth]) for depth in range(len(op.namespace) + 1)]
    return [tag, *above, *([_UNINDEXED] if op.index is False else [])]


def _updated(code: str) -> datetime:
    return datetime.fromisoformat(json.loads(code)["updated_at"])


def _text(op: PutOp) -> str:
    """Return what an item is searched by, never blank."""
    if op.index is False or op.value is None:
        texts = []
    elif op.index is None:
        texts = list(_texts_in(op.value))
    else:
        texts = [text for path in op.index for text in get_text_at_path(op.value, tokenize_path(path))]
    found = "\n".join(text for text in texts if text.strip())
    return found or f"{'/'.join(op.namespace)}/{op.key}"


def _texts_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _texts_in(list(value.values()))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts_in(each)


def _as_json(kept: dict[str, Any]) -> str:
    try:
        return json.dumps(kept, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValidationError(f"An item's value has to be JSON: {error}", field="value") from error


def _passes(value: Any, wanted: dict[str, Any]) -> bool:
    return all(_agrees(value.get(field), condition) for field, condition in wanted.items())


def _agrees(found: Any, condition: Any) -> bool:
    if not isinstance(condition, dict) or not any(name.startswith("$") for name in condition):
        return bool(found == condition)
    unknown = condition.keys() - _OPERATORS.keys()
    if unknown:
        raise ValidationError(
            f"There is no operator {min(unknown)!r}; there are {', '.join(_OPERATORS)}.", field="filter"
        )
    return all(_compares(name, found, bound) for name, bound in condition.items())


def _compares(name: str, found: Any, bound: Any) -> bool:
    try:
        return bool(_OPERATORS[name](found, bound))
    except TypeError:
        return False  # a text is neither more nor less than a number


def _fits(namespace: _Namespace, condition: MatchCondition) -> bool:
    path = tuple(condition.path)
    if len(path) > len(namespace):
        return False
    part = (
        namespace[: len(path)]
        if condition.match_type == "prefix"
        else namespace[-len(path) or len(namespace) :]
    )
    return all(wanted in ("*", label) for wanted, label in zip(path, part, strict=True))
