"""The bodies of the key endpoints."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from engramia.core.record_format import format_time, parse_time
from engramia.server.keys.model import NAME_MAX_CHARS, Key, KeyRequest, NewKey
from engramia.server.kit.permissions import Role
from engramia.server.kit.schemas import Answer, Moment, Request
from engramia.server.tenancy.model import MAX_PATTERNS_MAX

# No `type` statements here: those become references, and a form is documented in one piece.
RoleName = Literal["reader", "editor", "admin", "owner"]

_TOKEN_MAX_CHARS = 1_000
# Documented, not enforced by these: what refuses them says why in words.
_NOT_BLANK = r"^[^\u0000-\u001f\u007f]*[^\s\u0000-\u001f\u007f][^\u0000-\u001f\u007f]*$"
_PROJECT = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"


def _check_name(name: str) -> str:
    if not name.strip() or not name.isprintable():
        raise ValueError("name must not be blank, nor hold what cannot be printed")
    return name


_Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=NAME_MAX_CHARS),
    AfterValidator(_check_name),
    Field(json_schema_extra={"pattern": _NOT_BLANK}),
]
_Limit = Annotated[int, Field(ge=1, le=MAX_PATTERNS_MAX)]
_ProjectId = Annotated[str, StringConstraints(max_length=64), Field(json_schema_extra={"pattern": _PROJECT})]
_Time = Annotated[str, StringConstraints(max_length=64), Field(json_schema_extra={"format": "date-time"})]
_Token = Annotated[str, StringConstraints(max_length=_TOKEN_MAX_CHARS)]


class BootstrapRequest(Request):
    """The token of ENGRAMIA_BOOTSTRAP_TOKEN, under either name."""

    token: _Token | None = Field(None, description="What ENGRAMIA_BOOTSTRAP_TOKEN says.")
    bootstrap_token: _Token | None = Field(None, description="The same as `token`, which counts if both are.")

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.token is None and self.bootstrap_token is None:
            raise ValueError("token must be given")
        return self

    @property
    def presented(self) -> str:
        """The token, under whichever name it came."""
        return self.token if self.token is not None else self.bootstrap_token or ""


class CreateKeyRequest(Request):
    """A key that is wanted."""

    name: _Name = Field(description="What people call the key.")
    role: RoleName = Field(
        "editor", description="At most the role of who asks; an admin makes editors at most."
    )
    project_id: _ProjectId | None = Field(
        None, description="Project of the key, made if it is new; by default the one worked in."
    )
    max_patterns: _Limit | None = Field(
        None,
        description="How many patterns the project may come to hold by what is stored with the key; by "
        "default what the project says.",
    )
    expires_at: _Time | None = Field(None, description="When the key ends: RFC 3339, in the future.")


class KeyBody(Answer):
    """A key as lists show it."""

    id: str
    name: str
    key_prefix: str = Field(description="How the secret begins.")
    role: RoleName
    tenant_id: str
    project_id: str
    max_patterns: int | None
    expires_at: Moment | None
    created_at: Moment
    created_by: str | None = Field(description="Id of the key that made it.")
    last_used_at: Moment | None = Field(description="Good to a minute.")
    revoked_at: Moment | None
    rotated_at: Moment | None


class NewKeyBody(Answer):
    """A key with its secret, which is shown this once."""

    id: str
    name: str
    secret: str = Field(description="What goes behind `Authorization: Bearer`. Keep it: it is not kept here.")
    key_prefix: str
    role: RoleName
    tenant_id: str
    project_id: str
    max_patterns: int | None
    expires_at: Moment | None
    created_at: Moment


class KeyList(Answer):
    """A page of keys, newest first."""

    keys: list[KeyBody]
    has_more: bool
    next_offset: int | None


class RevokedKey(Answer):
    """A key that opens nothing any more."""

    revoked: bool
    id: str
    revoked_at: Moment


def key_request(body: CreateKeyRequest) -> KeyRequest:
    """Return the key that a body asks for."""
    ends = body.expires_at
    return KeyRequest(
        name=body.name,
        role=Role(body.role),
        project_id=body.project_id,
        max_patterns=body.max_patterns,
        expires_at=None if ends is None else parse_time(ends, field="expires_at"),
    )


def key_document(key: Key) -> dict[str, Any]:
    """Return a key as lists show it."""
    return {
        "id": key.id,
        "name": key.name,
        "key_prefix": key.key_prefix,
        "role": key.role.value,
        "tenant_id": key.scope.tenant_id,
        "project_id": key.scope.project_id,
        "max_patterns": key.max_patterns,
        "expires_at": key.expires_at and format_time(key.expires_at),
        "created_at": format_time(key.created_at),
        "created_by": key.created_by,
        "last_used_at": key.last_used_at and format_time(key.last_used_at),
        "revoked_at": key.revoked_at and format_time(key.revoked_at),
        "rotated_at": key.rotated_at and format_time(key.rotated_at),
    }


def new_key_document(made: NewKey) -> dict[str, Any]:
    """Return a key with its secret."""
    shown = {name: value for name, value in key_document(made.key).items() if name in NewKeyBody.model_fields}
    return {"id": shown.pop("id"), "name": shown.pop("name"), "secret": made.secret, **shown}


def revoked_document(key: Key) -> dict[str, Any]:
    """Return a key that was revoked."""
    return {"revoked": True, "id": key.id, "revoked_at": key.revoked_at and format_time(key.revoked_at)}
