"""Keeping `word_postings` and `word_counts` true to the patterns of a scope."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    LargeBinary,
    SmallInteger,
    and_,
    bindparam,
    case,
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
from engramia.providers.postgres.tables import BigintArray, word_counts, word_postings
from engramia.providers.postgres.transaction import ScopeTransaction, ours
from engramia.providers.postgres.words import (
    BLOCKS_IN_ONE,
    MEMBER_BYTES,
    NARROW,
    Changes,
    pack_members,
    unpack_members,
)

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

_change = cast(bindparam("sign", type_=Integer) * func.sum(_given.c.size) // MEMBER_BYTES, BigInteger)
_new_counts = insert(word_counts).from_select(
    ["tenant_id", "project_id", "field", "root", "patterns"],
    select(bindparam("of_tenant"), bindparam("of_project"), _field, _given.c.root, _change).group_by(
        _given.c.field, _given.c.root
    ),
)
_COUNT = _new_counts.on_conflict_do_update(
    index_elements=["tenant_id", "project_id", "field", "root"],
    set_={"patterns": word_counts.c.patterns + _new_counts.excluded.patterns},
)
_FORGET = delete(word_counts).where(
    ours(word_counts),
    word_counts.c.field == _field,
    word_counts.c.root == _given.c.root,
    word_counts.c.patterns == 0,
)

# Of an added pattern the blocks given are narrow ones; who has a rare root is written down in a wide one.
_counted = _COUNT.returning(word_counts.c.field, word_counts.c.root, word_counts.c.patterns).cte("counted")
_is_common = _counted.c.patterns > func.greatest(NARROW, bindparam("held", type_=BigInteger) // BLOCKS_IN_ONE)
_block = case((_is_common, _given.c.block), else_=(-1 - _given.c.block) // BLOCKS_IN_ONE).label("block")
_placed = (
    select(_field.label("field"), _given.c.root, _block, _members.label("members"))
    .join_from(_given, _counted, and_(_counted.c.field == _field, _counted.c.root == _given.c.root))
    .subquery("placed")
)
_new_postings = insert(word_postings).from_select(
    ["tenant_id", "project_id", "field", "root", "block", "members"],
    select(
        bindparam("of_tenant"),
        bindparam("of_project"),
        _placed.c.field,
        _placed.c.root,
        _placed.c.block,
        func.string_agg(_placed.c.members, func.decode("", "hex")),
    ).group_by(_placed.c.field, _placed.c.root, _placed.c.block),
)
_ADD = _new_postings.on_conflict_do_update(
    index_elements=["tenant_id", "project_id", "field", "root", "block"],
    set_={"members": word_postings.c.members.op("||")(_new_postings.excluded.members)},
).add_cte(_counted)

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

type _Numbers = NDArray[np.int64]
type _Row = tuple[int, int, int, _Numbers]
"""Field, root, block, and the numbers of the patterns."""


@dataclass(frozen=True, slots=True)
class _Postings:
    """Rows of postings; what they are found by, and their pattern numbers, one row's after another's."""

    field: _Numbers
    root: _Numbers
    block: _Numbers
    sizes: _Numbers
    numbers: _Numbers

    def keys(self) -> dict[str, Bigints]:
        """Return as parameters what the rows are found by, and where their members stand in `values`."""
        sizes = self.sizes * MEMBER_BYTES
        columns = {
            "fields": self.field,
            "roots": self.root,
            "blocks": self.block,
            "starts": 1 + np.cumsum(sizes) - sizes,
            "sizes": sizes,
        }
        return {name: Bigints(np.asarray(values, np.int64)) for name, values in columns.items()}

    def values(self) -> dict[str, Bigints | bytes]:
        """Return the rows as parameters."""
        return {**self.keys(), "members": pack_members(self.numbers)}


def add_words(transaction: ScopeTransaction, changes: Changes) -> None:
    """Count patterns in that have these roots and had them not."""
    if changes:
        values = _narrow(changes).values()
        transaction.write_later(_ADD, **values, sign=1, held=transaction.row.patterns)


def take_words(transaction: ScopeTransaction, changes: Changes) -> None:
    """Count patterns out that had these roots; whoever remembers counts of this scope has to forget them."""
    if not changes:
        return
    transaction.row.words_epoch = transaction.revise()
    gone = np.array(sorted({number for _, number, _ in changes}), np.int64)
    narrow = _narrow(changes).keys()
    wide = narrow | {"blocks": Bigints((-1 - narrow["blocks"].values) // BLOCKS_IN_ONE)}
    found = [*transaction.fetch(_AFFECTED, **narrow), *transaction.fetch(_AFFECTED, **wide)]
    left = [_without(row, gone) for row in found]
    kept, emptied = ([one for one in left if bool(one[3].size) is some] for some in (True, False))
    if kept:
        transaction.write(_SET, **_joined(kept).values())
    if emptied:
        transaction.write(_DROP, **_joined(emptied).keys())
    transaction.write(_COUNT, **narrow, sign=-1)
    transaction.write(_FORGET, **narrow)


def _without(row: Any, gone: _Numbers) -> _Row:
    field, root, block, members = row
    numbers = unpack_members(block, members)
    return field, root, block, numbers[~np.isin(numbers, gone)]


def _joined(found: Sequence[_Row]) -> _Postings:
    fields, roots, blocks, numbers = zip(*found, strict=True)
    sizes = [len(some) for some in numbers]
    field, root, block, size = (np.array(values, np.int64) for values in (fields, roots, blocks, sizes))
    return _Postings(field, root, block, size, np.concatenate(numbers))


def _narrow(changes: Changes) -> _Postings:
    """Return the rows that the patterns would have in narrow blocks alone."""
    lengths = [len(codes) for _, _, codes in changes]
    fields = np.repeat([field for field, _, _ in changes], lengths)
    numbers = np.repeat(np.array([number for _, number, _ in changes], np.int64), lengths)
    roots = np.concatenate([codes for _, _, codes in changes])
    order = np.lexsort((numbers, roots, fields))
    fields, roots, numbers = fields[order], roots[order], numbers[order]
    blocks = -1 - numbers // NARROW
    new = (fields[1:] != fields[:-1]) | (roots[1:] != roots[:-1]) | (blocks[1:] != blocks[:-1])
    firsts = np.flatnonzero(np.concatenate(([True], new)))
    sizes = np.diff(firsts, append=len(numbers))
    return _Postings(fields[firsts], roots[firsts], blocks[firsts], sizes, numbers)
