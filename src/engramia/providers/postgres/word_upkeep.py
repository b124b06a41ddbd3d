"""Keeping `word_postings` true to the patterns of a scope."""

from collections.abc import Iterable, Sequence
from itertools import accumulate, groupby
from typing import Any

import numpy as np
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    LargeBinary,
    Row,
    SmallInteger,
    and_,
    bindparam,
    cast,
    column,
    delete,
    func,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from engramia.db.bigints import Bigints
from engramia.providers.postgres.tables import BigintArray, word_postings
from engramia.providers.postgres.transaction import ScopeTransaction, ours
from engramia.providers.postgres.words import BLOCK, Changes, pack_members, unpack_members

_given = (
    func.unnest(
        *(bindparam(f"{name}s", type_=BigintArray) for name in ("field", "root", "block", "start", "size"))
    )
    .table_valued(*(column(name, BigInteger) for name in ("field", "root", "block", "start", "size")))
    .render_derived()
)
_field = cast(_given.c.field, SmallInteger)
_members = func.substring(
    bindparam("members", type_=LargeBinary),
    cast(_given.c.start, Integer),
    cast(_given.c.size, Integer),
    type_=LargeBinary,
)
_new = insert(word_postings).from_select(
    ["tenant_id", "project_id", "field", "root", "block", "members"],
    select(bindparam("of_tenant"), bindparam("of_project"), _field, _given.c.root, _given.c.block, _members),
)
_ADD = _new.on_conflict_do_update(
    index_elements=["tenant_id", "project_id", "field", "root", "block"],
    set_={"members": word_postings.c.members.op("||")(_new.excluded.members)},
)
_AFFECTED = (
    select(word_postings.c.field, word_postings.c.root, word_postings.c.block, word_postings.c.members)
    .where(ours(word_postings))
    .where(
        tuple_(word_postings.c.field, word_postings.c.root, word_postings.c.block).in_(
            select(_field, _given.c.root, _given.c.block)
        )
    )
)


def _is_given() -> ColumnElement[bool]:
    return and_(
        ours(word_postings),
        word_postings.c.field == _field,
        word_postings.c.root == _given.c.root,
        word_postings.c.block == _given.c.block,
    )


_SET = update(word_postings).where(_is_given()).values(members=_members)
_DROP = delete(word_postings).where(_is_given())

type _Posting = tuple[int, int, int, bytes]


def add_words(transaction: ScopeTransaction, changes: Changes) -> None:
    """Count patterns in that have these roots and had them not."""
    if changes:
        transaction.write(_ADD, **_columns(_postings(changes)))


def take_words(transaction: ScopeTransaction, changes: Changes) -> None:
    """Count patterns out that had these roots; whoever remembers counts of this scope has to forget them."""
    if not changes:
        return
    transaction.row.words_epoch += 1
    wanted = _keys(_columns(_postings(changes)))
    left = [_without(row, changes[row.field, row.root]) for row in transaction.execute(_AFFECTED, **wanted)]
    kept, emptied = ([one for one in left if bool(one[3]) is some] for some in (True, False))
    if kept:
        transaction.write(_SET, **_columns(kept))
    if emptied:
        transaction.write(_DROP, **_keys(_columns(emptied)))


def _without(row: Row[Any], gone: Iterable[int]) -> _Posting:
    field, root, block, members = tuple(row)
    numbers = unpack_members(block, members)
    return field, root, block, pack_members(numbers[~np.isin(numbers, list(gone))].tolist())


def _postings(changes: Changes) -> list[_Posting]:
    return [
        (field, root, block, pack_members(some))
        for (field, root), numbers in changes.items()
        for block, some in groupby(sorted(numbers), lambda number: number // BLOCK)
    ]


def _columns(postings: Sequence[_Posting]) -> dict[str, Bigints | bytes]:
    """Return postings as parameters: columns of integers, and the members end to end."""
    sizes = [len(posting[3]) for posting in postings]
    starts = [1 + end - size for end, size in zip(accumulate(sizes), sizes, strict=True)]
    columns = {
        "fields": [posting[0] for posting in postings],
        "roots": [posting[1] for posting in postings],
        "blocks": [posting[2] for posting in postings],
        "starts": starts,
        "sizes": sizes,
    }
    return {name: Bigints(np.array(values, np.int64)) for name, values in columns.items()} | {
        "members": b"".join(posting[3] for posting in postings)
    }


def _keys(columns: dict[str, Bigints | bytes]) -> dict[str, Bigints | bytes]:
    return {name: value for name, value in columns.items() if name != "members"}
