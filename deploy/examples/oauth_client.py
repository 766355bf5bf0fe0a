"""Shows: an unchanged OAuth client, requests-oauthlib, that gets the partner's token from the sidecar's `/oauth/token`.

    pip install requests-oauthlib
    TOKEN_SIDECAR_CALLER=$(head -n 1 /etc/token-sidecar/caller-token) python oauth_client.py

The client id is the profile, the client secret the caller token; the sidecar must have SIDECAR_CALLER_TOKEN_FILE set,
because it otherwise requires the header `Sidecar-Request: true`, which plain OAuth clients do not send.

TOKEN_SIDECAR         http://host:port of the vending listener (http://127.0.0.1:8181)
TOKEN_SIDECAR_CALLER  a line of the caller token file
PARTNER_URL           the URL to get from the partner

Prints the response of the partner. Exit code 0: the partner answered 2xx; 1: it did not, or there is no token.
"""

import os
import sys

from oauthlib.oauth2 import BackendApplicationClient, OAuth2Error
from requests import Response
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

# OAuth clients require TLS for the token, but this connection stays on the machine.
os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"

SIDECAR = os.environ.get("TOKEN_SIDECAR", "http://127.0.0.1:8181")
CALLER_TOKEN = os.environ.get("TOKEN_SIDECAR_CALLER", "").strip()
PARTNER_URL = os.environ.get("PARTNER_URL", "https://api-gateway.carry1st.com/api/pay1st/payments/methods")
PROFILE = "default"


def fetch_token(session: OAuth2Session) -> str:
    token = session.fetch_token(f"{SIDECAR}/oauth/token", auth=HTTPBasicAuth(PROFILE, CALLER_TOKEN), timeout=60)
    return str(token["access_token"])


def call(session: OAuth2Session, access_token: str) -> Response:
    """Send the token in the header that the partner expects, without `Authorization`.

    Redirects are not followed, because requests would send that header to any target.
    """
    headers = {"AccessToken": f"Bearer {access_token}"}
    return session.request("GET", PARTNER_URL, headers=headers, withhold_token=True, allow_redirects=False, timeout=60)


def report(session: OAuth2Session, access_token: str) -> None:
    """Report the token as rejected, so that the next one is another. OAuth has no request for that."""
    session.request(
        "POST",
        f"{SIDECAR}/v1/token/rejected",
        json={"accessToken": access_token},
        headers={"Sidecar-Request": "true", "Authorization": f"Bearer {CALLER_TOKEN}"},
        withhold_token=True,
        allow_redirects=False,
        timeout=60,
    ).raise_for_status()


def main() -> str | None:
    with OAuth2Session(client=BackendApplicationClient(client_id=PROFILE)) as session:
        # No proxy and no .netrc of the environment: requests would replace our header by a password from there.
        session.trust_env = False
        try:
            access_token = fetch_token(session)
            response = call(session, access_token)
            if response.status_code == 401:
                report(session, access_token)
                if (following := fetch_token(session)) != access_token:
                    response = call(session, following)
        except OAuth2Error as error:
            return f"no token: {error}"
    print(response.text)
    return None if response.ok else f"the partner answered {response.status_code}"


if __name__ == "__main__":
    sys.exit(main())
