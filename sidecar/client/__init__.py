"""For apps in Python: adds the sidecar's current token to requests to the partner, and reports rejected tokens.

With `sign` it adds the partner's signature, too. `sidecar.client.httpx` and `sidecar.client.aiohttp` need the library
of the same name.
"""
