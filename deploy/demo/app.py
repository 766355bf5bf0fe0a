"""An app of docker-compose.yml: gets the token from its sidecar each second, and prints the token's id."""

from __future__ import annotations

import json
import signal
import sys
import time
import urllib.request

REQUEST = urllib.request.Request("http://127.0.0.1:8181/v1/token", headers={"Sidecar-Request": "true"})
# The first process of a container ignores SIGTERM unless it has a handler.
signal.signal(signal.SIGTERM, lambda *_: sys.exit())

while True:
    try:
        with urllib.request.urlopen(REQUEST, timeout=10) as answer:  # noqa: S310 - the fixed address above
            token = json.load(answer)
        print(f"token {token['tokenId']}, {token['expiresIn']} s left")
    except OSError as error:  # an HTTP error, such as 503, is an OSError too
        print(f"no token: {error}")
    time.sleep(1)
