"""How fast the service is over HTTP, beside the bare framework in the same run."""
