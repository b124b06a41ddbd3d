"""The header `Idempotency-Key`, as the description of the interface has it.

Apart from what is done with it: an editor's server does that without the HTTP framework.
"""

from fastapi import Header

from engramia.core import limits
from engramia.server.kit.once import HEADER

IDEMPOTENCY_KEY = Header(
    alias=HEADER,
    description="Chosen by the caller for one request, best at random: sent again with the same body within "
    "24 hours, the request is not done again, and the answer has `Idempotency-Replayed: true`. "
    f"1 to {limits.IDEMPOTENCY_KEY_MAX_CHARS} printable ASCII characters.",
    examples=["6f1d2c9a-5b7e-4c3f-9a51-0d6c7b1e8f42"],
    min_length=1,
    max_length=limits.IDEMPOTENCY_KEY_MAX_CHARS,
    pattern="^[!-~]([ -~]*[!-~])?$",  # HTTP takes blanks around a value away
)
