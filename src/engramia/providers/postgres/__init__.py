"""Storage in Postgres with pgvector."""
