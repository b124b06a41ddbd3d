"""How the service finds out who is calling; one module a way, all behind the kit's `Authenticator`."""
