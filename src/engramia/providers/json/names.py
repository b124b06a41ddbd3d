"""Folder names of scopes: one flat name per scope, different also where upper and lower case are the same."""

import re

from engramia.core.model import Scope
from engramia.errors import ValidationError

_NAME = re.compile(r"[a-z0-9][a-z0-9_=-]*(?:\+[1-9a-f][0-9a-f]*)?")


def folder_name(scope: Scope) -> str:
    """Return `tenant@project` with dots as `=` and upper-case letters as a hex mask after `+`.

    No name has a dot, so none is hidden, reserved (`con.txt`), or shaped like an erased folder's; none is
    longer than 163 bytes.
    """
    return f"{_encode(scope.tenant_id)}@{_encode(scope.project_id)}"


def scope_of(name: str) -> Scope | None:
    """Return the scope whose folder has this name, or None for a name that no scope has."""
    tenant, separator, project = name.partition("@")
    if not (separator and _NAME.fullmatch(tenant) and _NAME.fullmatch(project)):
        return None
    try:
        scope = Scope(_decode(tenant), _decode(project))
    except ValidationError:
        return None
    return scope if folder_name(scope) == name else None


def _encode(name: str) -> str:
    mask = sum(1 << place for place, letter in enumerate(name) if letter.isupper())
    return name.lower().replace(".", "=") + (f"+{mask:x}" if mask else "")


def _decode(name: str) -> str:
    letters, _, mask = name.replace("=", ".").partition("+")
    upper = int(mask or "0", 16)
    return "".join(letter.upper() if upper >> place & 1 else letter for place, letter in enumerate(letters))
