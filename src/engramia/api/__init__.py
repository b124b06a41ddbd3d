"""The HTTP service put together: `engramia.api.app.create_app`."""
