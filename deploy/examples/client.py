"""Shows: Python with `sidecar.client`, here with httpx; it adds the token, reports a 401 and tries again.

    pip install 'pay1st-token-sidecar[httpx]'
    python client.py

With aiohttp it is `aiohttp.ClientSession(middlewares=[SidecarAuth()])`, from `sidecar.client.aiohttp`.

TOKEN_SIDECAR         http://host:port or unix:/path of the vending listener (http://127.0.0.1:8181)
TOKEN_SIDECAR_PROFILE the profile, where the sidecar has several (default)
TOKEN_SIDECAR_CALLER  a line of the caller token file, if the sidecar requires one
PARTNER_URL           the URL to get from the partner

Prints the response of the partner. Exit code 0: the partner answered 2xx; 1: it did not, or there is no token.
"""

import os
import sys

import httpx

from sidecar.client.errors import TokenUnavailableError
from sidecar.client.httpx import SidecarAuth

SIDECAR = os.environ.get("TOKEN_SIDECAR", "http://127.0.0.1:8181")
PROFILE = os.environ.get("TOKEN_SIDECAR_PROFILE", "default")
PARTNER_URL = os.environ.get("PARTNER_URL", "https://api-gateway.carry1st.com/api/pay1st/payments/methods")


def main() -> str | None:
    auth = SidecarAuth(SIDECAR, profile=PROFILE, caller_token=os.environ.get("TOKEN_SIDECAR_CALLER", ""))
    with httpx.Client(auth=auth, timeout=60) as client:
        try:
            response = client.get(PARTNER_URL)
        except TokenUnavailableError as error:
            return f"no token: {error}"
    print(response.text)
    return None if response.is_success else f"the partner answered {response.status_code}"


if __name__ == "__main__":
    sys.exit(main())
