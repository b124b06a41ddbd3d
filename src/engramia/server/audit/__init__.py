"""The audit trail: what is kept of privileged acts and of refusals, and who may read it."""
