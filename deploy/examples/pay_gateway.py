"""Shows: Python that creates a payment through the sidecar's gateway: it needs no token, no key and no secret.

    pip install httpx
    python pay_gateway.py order-4711

The argument is the payment's partnerReference. Your app stores it before the first attempt, and never pays the same
order under another one: the partner takes a reference once, so a repeated request cannot become a second payment.

TOKEN_SIDECAR_GATEWAY  http://host:port of the gateway (http://127.0.0.1:8282)
TOKEN_SIDECAR_CALLER   a line of the caller token file, if the sidecar requires one

Prints the response of the partner. Exit code 0: created; 1: not created; 3: nobody knows, look for the webhook.
"""

import os
import sys
import time

import httpx

GATEWAY = os.environ.get("TOKEN_SIDECAR_GATEWAY", "http://127.0.0.1:8282")
CALLER_TOKEN = os.environ.get("TOKEN_SIDECAR_CALLER", "")
HEADERS = {"Sidecar-Request": "true", "Content-Type": "application/vnd.carry1st.payments.payment+json"}
ATTEMPTS = 4


def outcome(response: httpx.Response) -> str:
    status, headers = response.status_code, response.headers
    if response.is_success:
        return "created"
    not_sent = headers.get("Sidecar-Answer") == "sidecar" and status in (502, 503)
    if not_sent or headers.get("Sidecar-Token") == "replaced" or status == 429:
        return "not created yet"
    # Such as 504 partner-outcome-unknown, or a 5xx of the partner, which may have created the payment before.
    return "unknown" if status >= 500 else "refused"


def attempt(partner: httpx.Client, payment: dict[str, object]) -> tuple[str, int]:
    """Return the outcome, and the seconds to wait before the next attempt."""
    try:
        response = partner.post("/api/pay1st/payments/create", json=payment)
    except httpx.ConnectError:
        return "not created yet", 1
    except httpx.TransportError:
        return "unknown", 1
    if response.is_success:
        print(response.text)
    else:
        print(f"{response.status_code} {response.text!a}"[:500], file=sys.stderr)
    wait = response.headers.get("Retry-After", "")
    return outcome(response), int(wait) if wait.isdecimal() else 1


def main(reference: str) -> int:
    payment = {"amount": 100, "currencyCode": "NGN", "countryCode": "NG", "partnerReference": reference}
    headers = HEADERS | ({"Authorization": f"Bearer {CALLER_TOKEN}"} if CALLER_TOKEN else {})
    known = True
    # Longer than SIDECAR_GATEWAY_TIMEOUT_S, so that the gateway says what became of the request.
    with httpx.Client(base_url=GATEWAY, headers=headers, timeout=60, trust_env=False) as partner:
        for left in reversed(range(ATTEMPTS)):
            found, wait_s = attempt(partner, payment)
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
