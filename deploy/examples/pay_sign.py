"""Shows: Python that has a payment signed by the sidecar's `/v1/sign`, and sends it to the partner itself.

    pip install httpx
    python pay_sign.py order-4711

The argument is the payment's partnerReference. Your app stores it before the first attempt, and never pays the same
order under another one: the partner takes a reference once, so a repeated request cannot become a second payment.

TOKEN_SIDECAR         http://host:port of the vending listener (http://127.0.0.1:8181)
TOKEN_SIDECAR_CALLER  a line of the caller token file, if the sidecar requires one
PARTNER               the partner's base URL

Prints the response of the partner. Exit code 0: created; 1: not created; 3: nobody knows, look for the webhook.
"""

import contextlib
import json
import os
import sys
import time

import httpx

SIDECAR = os.environ.get("TOKEN_SIDECAR", "http://127.0.0.1:8181")
CALLER_TOKEN = os.environ.get("TOKEN_SIDECAR_CALLER", "")
PARTNER = os.environ.get("PARTNER", "https://api-gateway.carry1st.com")
CONTENT_TYPE = "application/vnd.carry1st.payments.payment+json"
ATTEMPTS = 4


def seconds_of(response: httpx.Response) -> int:
    wait = response.headers.get("Retry-After", "")
    return int(wait) if wait.isdecimal() else 1


def attempt(sidecar: httpx.Client, body: bytes) -> tuple[str, int]:
    """Sign and send. Return the outcome, and the seconds to wait before the next attempt."""
    try:
        signed = sidecar.post("/v1/sign", content=body)
    except httpx.TransportError:
        return "not created yet", 1
    if signed.status_code != 200:
        print(f"not signed: {signed.status_code} {signed.text!a}"[:500], file=sys.stderr)
        return "not created yet" if signed.status_code == 503 else "refused", seconds_of(signed)
    headers = {**signed.json()["headers"], "Content-Type": CONTENT_TYPE}
    try:
        # The same bytes. httpx follows no redirect, so token and signature go to the partner alone.
        response = httpx.post(f"{PARTNER}/api/pay1st/payments/create", content=body, headers=headers, timeout=60)
    except (httpx.ConnectError, httpx.ConnectTimeout):
        return "not created yet", 1
    except httpx.TransportError:
        return "unknown", 1
    if response.is_success:
        print(response.text)
    else:
        print(f"{response.status_code} {response.text!a}"[:500], file=sys.stderr)
    if response.status_code == 401:
        with contextlib.suppress(httpx.TransportError):
            sidecar.post("/v1/token/rejected", json={"tokenId": signed.json()["tokenId"]})
    return outcome(response.status_code), seconds_of(response)


def outcome(status: int) -> str:
    if 200 <= status < 300:
        return "created"
    if status in (401, 429):
        return "not created yet"
    # After a 5xx the payment may have been created before.
    return "unknown" if status >= 500 else "refused"


def main(reference: str) -> int:
    payment = {"amount": 100, "currencyCode": "NGN", "countryCode": "NG", "partnerReference": reference}
    body = json.dumps(payment).encode()
    headers = {"Sidecar-Request": "true"} | ({"Authorization": f"Bearer {CALLER_TOKEN}"} if CALLER_TOKEN else {})
    known = True
    with httpx.Client(base_url=SIDECAR, headers=headers, timeout=60, trust_env=False) as sidecar:
        for left in reversed(range(ATTEMPTS)):
            found, wait_s = attempt(sidecar, body)
            known = known and found != "unknown"
            if found == "created":
                return 0
            if found == "refused" or not left:
                break
            time.sleep(wait_s)
    if known:
        return 1
    print(f"{reference} may exist: look for its webhook, and do not pay under another reference", file=sys.stderr)
    return 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
