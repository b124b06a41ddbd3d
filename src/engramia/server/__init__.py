"""The HTTP service in slices: each holds the endpoints, schemas and rules of one concern."""
