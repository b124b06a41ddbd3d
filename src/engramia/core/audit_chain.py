"""The chain of an audit trail: how a row is sealed, and how the first row that is not as it was is found.

Each row's hash covers all its columns and the hash of the row before. What that protects from:

- `sha256`: whoever alters, deletes or reorders rows must rewrite every later row and the head too. Who may
  write to the tables and knows this file can.
- `hmac-sha256`: they also need the secret that the database does not hold. Left to them is to cut off the
  newest rows together with the head. A copy of a later stamp kept elsewhere, as each log line is, shows that.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from engramia.core.audit import AuditRow, AuditStamp

GENESIS = "0" * 64
"""What stands as the hash before the first row."""

type Reason = Literal[
    "altered", "missing", "replaced", "unkeyed", "other_secret", "head", "beyond_head", "anchor"
]

_LABEL = b"engramia.audit.chain.v1"
_FORM = "engramia.audit.v1"
_PLAIN = "sha256"
_KEYED = "hmac-sha256"
_BEGINNING = AuditStamp(0, GENESIS)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Seal:
    """Makes hashes of rows: HMAC-SHA-256 under a key, or SHA-256 without one."""

    def __init__(self, key: bytes | None) -> None:
        self._key = key
        self.name = _PLAIN if key is None else f"{_KEYED}:{hashlib.sha256(key).hexdigest()[:8]}"
        """The algorithm and, after a colon, which key: the beginning of the key's own hash."""

    @classmethod
    def of(cls, secret: str | None) -> "Seal":
        """Return the seal under a key that is derived from the service's secret, or without one."""
        return cls(hmac.digest(secret.encode(), _LABEL, "sha256") if secret else None)

    def hash(self, row: AuditRow) -> str:
        """Return the hash of a row, whatever stands in its `hash`."""
        content = _content(row)
        if self._key is None:
            return hashlib.sha256(content).hexdigest()
        return hmac.digest(self._key, content, "sha256").hex()

    def sealed(self, row: AuditRow) -> AuditRow:
        """Return the row with this seal's name and hash."""
        named = replace(row, seal=self.name)
        return replace(named, hash=self.hash(named))


def is_keyed(seal: str) -> bool:
    """Return whether a row with this seal could be made by nobody without the secret."""
    return seal != _PLAIN


def _content(row: AuditRow) -> bytes:
    """Return what a hash covers: a JSON array in ASCII, which no two different rows share."""
    return json.dumps(
        [
            _FORM,
            row.seal,
            row.tenant_id,
            row.seq,
            (row.at - _EPOCH) // timedelta(microseconds=1),
            row.event,
            row.outcome,
            row.actor,
            row.project_id,
            row.request_id,
            row.ip,
            row.facts,
            row.previous,
        ],
        separators=(",", ":"),
    ).encode()


@dataclass(frozen=True, slots=True)
class ChainFault:
    """The first row of a chain that is not as it was written."""

    seq: int
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What a check of one tenant's chain found."""

    tenant_id: str
    unkeyed: int
    """Sound rows that anybody could have sealed: they were written without the secret."""
    last: AuditStamp
    """Of the last sound row; number 0 without one."""
    fault: ChainFault | None


@dataclass(slots=True)
class ChainCheck:
    """Follows a chain from its first row; `seals` are those whose keys are known, by name."""

    seals: Mapping[str, Seal]
    anchors: Mapping[int, str]
    """Hashes that are known from elsewhere, by the number of their row."""
    last: AuditStamp = _BEGINNING
    unkeyed: int = 0
    """Rows that anybody could have sealed."""
    _keyed: bool = False

    def follow(self, rows: Iterable[AuditRow]) -> ChainFault | None:
        """Return the first fault in the rows that come next, in the order of their numbers."""
        for row in rows:
            fault = self._fault_of(row)
            if fault is not None:
                return fault
            self.last = AuditStamp(row.seq, row.hash)
            self._keyed = self._keyed or is_keyed(row.seal)
            self.unkeyed += not is_keyed(row.seal)
        return None

    def end(self, head: AuditStamp | None) -> ChainFault | None:
        """Return what is wrong with the end of the chain, given what the head says of it."""
        seq = self.last.seq
        if head is None:
            return None if seq == 0 else ChainFault(seq, "head", "The head of the chain is gone.")
        if head.seq > seq:
            return _missing(seq + 1, f"the head says that {head.seq} were written")
        if head.seq < seq:
            return ChainFault(
                head.seq + 1, "beyond_head", f"The head says that only {head.seq} rows were written."
            )
        if head.hash != self.last.hash:
            return ChainFault(seq, "head", "The head and the last row do not agree; one of them was altered.")
        beyond = min((number for number in self.anchors if number > seq), default=None)
        return None if beyond is None else _missing(seq + 1, f"a row {beyond} is known from elsewhere")

    def _fault_of(self, row: AuditRow) -> ChainFault | None:
        expected = self.last.seq + 1
        if row.seq != expected:
            return _missing(expected, f"row {row.seq} comes next")
        return self._fault_of_seal(row) or self._fault_of_link(row)

    def _fault_of_seal(self, row: AuditRow) -> ChainFault | None:
        if self._keyed and not is_keyed(row.seal):
            return ChainFault(
                row.seq, "unkeyed", "It is sealed without the secret, as no row after a keyed one is."
            )
        seal = self.seals.get(row.seal)
        if seal is None:
            return ChainFault(
                row.seq, "other_secret", f"Its seal {row.seal!r} is of a secret that was not given."
            )
        if not hmac.compare_digest(seal.hash(row), row.hash):
            return ChainFault(row.seq, "altered", "Its hash does not fit what stands in it.")
        return None

    def _fault_of_link(self, row: AuditRow) -> ChainFault | None:
        if row.previous != self.last.hash:
            if row.seq == 1:
                return ChainFault(1, "altered", "It does not begin the chain.")
            return ChainFault(
                self.last.seq, "replaced", f"It is not the row that row {row.seq} was chained to."
            )
        if self.anchors.get(row.seq, row.hash) != row.hash:
            return ChainFault(row.seq, "anchor", "Its hash is not the one that is known from elsewhere.")
        return None


def _missing(seq: int, why: str) -> ChainFault:
    return ChainFault(seq, "missing", f"It is not there: {why}.")
