"""Running the service: health, version, metrics, documentation."""
