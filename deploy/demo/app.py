"""An app of docker-compose.yml: asks the sidecar beside it for the token each second, and says which it got."""

from __future__ import annotations

import json
import signal
import sys
import time
import urllib.request

ASK = urllib.request.Request("http://127.0.0.1:8181/v1/token", headers={"Sidecar-Request": "true"})
# The first process of a container ignores SIGTERM until told otherwise.
signal.signal(signal.SIGTERM, lambda *_: sys.exit())

while True:
    try:
        with urllib.request.urlopen(ASK, timeout=10) as answer:  # noqa: S310 - the address above and no other
            token = json.load(answer)
        print(f"token {token['tokenId']}, {token['expiresIn']} s left")
    except OSError as error:  # an HTTP error, 503 for one, is an OSError too
        print(f"no token: {error}")
    time.sleep(1)
