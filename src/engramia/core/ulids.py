"""Fresh identifiers in the order of time: ULIDs (https://github.com/ulid/spec)."""

import threading
from datetime import datetime
from secrets import randbits

from ulid_transform import bytes_to_ulid

_RANDOM_BITS = 80
_STEP_BITS = 64


class _Ascending:
    """Makes 128-bit numbers: milliseconds since 1970, then what no other process will make.

    The library's own randomness is a generator that a forked process would go on with, in step with its
    parent; the system's is not. For the same reason two numbers of one millisecond lie far apart.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def after(self, moment: int) -> int:
        """Return a number of this millisecond, above the last one if that was of it too."""
        with self._lock:
            if moment == self._last >> _RANDOM_BITS:
                self._last += 1 + randbits(_STEP_BITS)
            else:
                self._last = moment << _RANDOM_BITS | randbits(_RANDOM_BITS - 1)  # room for steps
            return self._last


_numbers = _Ascending()


def new_ulid(now: datetime) -> str:
    """Return 26 lower-case characters. What this process makes later sorts later, while its clock goes on."""
    number = _numbers.after(int(now.timestamp() * 1000))
    return bytes_to_ulid(number.to_bytes(16)).lower()
