"""What a team could write instead in Python: an aiohttp Application on uvloop that counts with prometheus_client.

python -m tests.bench.application PORT FILE     FILE holds the body
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import uvloop
from aiohttp import web
from prometheus_client import Counter, Histogram

REQUESTS = Counter("requests", "Requests.", ("route", "code"))
TOOK = Histogram("took", "How long they took.", ("route",))


def main() -> None:
    port, body = int(sys.argv[1]), Path(sys.argv[2]).read_bytes()

    async def token(request: web.Request) -> web.Response:
        began = time.monotonic()
        if request.headers.get("Sidecar-Request") != "true":
            raise web.HTTPForbidden
        response = web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-store"})
        REQUESTS.labels("token", "ok").inc()
        TOOK.labels("token").observe(time.monotonic() - began)
        return response

    app = web.Application()
    app.router.add_get("/v1/token", token)
    uvloop.install()
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)


if __name__ == "__main__":
    main()
