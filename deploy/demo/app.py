"""An app of docker-compose.yml: creates a payment each second through its sidecar's gateway. It holds no secret."""

from __future__ import annotations

import http.client
import json
import signal
import sys
import time
import urllib.error
import urllib.request
import uuid

URL = "http://127.0.0.1:8282/api/pay1st/payments/create"
HEADERS = {"Sidecar-Request": "true", "Content-Type": "application/vnd.carry1st.payments.payment+json"}
# The first process of a container ignores SIGTERM unless it has a handler.
signal.signal(signal.SIGTERM, lambda *_: sys.exit())


def pay(reference: str) -> bool:
    """Return whether the partner has decided about this payment. If not, the same reference has to be sent again."""
    payment = {"amount": 100, "currencyCode": "NGN", "countryCode": "NG", "partnerReference": reference}
    request = urllib.request.Request(URL, json.dumps(payment).encode(), HEADERS)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - the fixed address above
            created = json.load(answer)["reference"]
            print(f"payment {created} for {reference}, with token {answer.headers['Token-Id']}")
            return True
    except urllib.error.HTTPError as error:
        print(f"no payment for {reference}: {error.code} from the {error.headers['Sidecar-Answer']}")
        return 400 <= error.code < 500 and error.code not in (401, 429)
    except (OSError, http.client.HTTPException) as error:
        print(f"no answer for {reference}: {error}")
        return False


order = str(uuid.uuid4())
while True:
    if pay(order):
        order = str(uuid.uuid4())
    time.sleep(1)
