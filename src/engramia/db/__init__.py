"""The database beneath the Postgres storage and the service: schema, sessions, a private server."""
