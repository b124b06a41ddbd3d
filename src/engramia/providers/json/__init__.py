"""Storage in readable files: one append-only journal of JSON lines per scope, and the state in memory."""
