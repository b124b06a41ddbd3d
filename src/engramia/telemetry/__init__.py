"""What operators see of a running service: logs, audit lines, metrics and traces. Needs the extra `api`."""
