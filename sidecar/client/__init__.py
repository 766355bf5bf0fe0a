"""For apps in Python: each request to the partner carries the sidecar's current token, and a refused one is reported.

`sidecar.client.httpx` and `sidecar.client.aiohttp` need the library they are named after, and nothing else of this
package needs them.
"""
