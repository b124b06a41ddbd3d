"""The tables of keys and of what the service keeps for itself, as the migrations leave them."""

from sqlalchemy import BigInteger, Column, DateTime, LargeBinary, Table, Text

from engramia.db.base import NAMES, metadata, tenant_id

_MOMENT = DateTime(timezone=True)

api_keys = Table(
    "api_keys",
    metadata,
    tenant_id(),
    Column("id", NAMES, primary_key=True),
    Column("project_id", NAMES, nullable=False),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("key_prefix", Text, nullable=False),
    Column("max_patterns", BigInteger),
    Column("created_at", _MOMENT, nullable=False),
    Column("created_by", Text),
    Column("expires_at", _MOMENT),
    Column("rotated_at", _MOMENT),
    Column("revoked_at", _MOMENT),
    Column("last_used_at", _MOMENT),
)

service_secrets = Table(
    "service_secrets",
    metadata,
    Column("name", NAMES, primary_key=True),
    Column("value", Text, nullable=False),
)

service_counters = Table(
    "service_counters",
    metadata,
    Column("name", NAMES, primary_key=True),
    Column("value", BigInteger, nullable=False),
)
