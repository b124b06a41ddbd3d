"""API keys in the database: made, listed, revoked, given new secrets."""
