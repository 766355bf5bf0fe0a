"""Partner calls with canaries as secrets, and the check that no error contains one."""

from __future__ import annotations

import base64
import json
import traceback

import pytest

from sidecar.core.errors import PartnerError
from sidecar.core.model import Credentials, PartnerToken, Secret
from sidecar.core.ports import MaySend
from sidecar.partner.client import PartnerClient

KEY, SECRET = "canary-key-é", "canary-sécret:with-colon"
BASIC = base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()
ACCESS, REFRESH = "canary-access", "canary-refresh"
CREDENTIALS = Credentials(api_key=Secret(KEY), api_secret=Secret(SECRET))
GOOD = json.dumps({"role": "API_USER", "accessToken": ACCESS, "refreshToken": REFRESH}).encode()


def always() -> bool:
    """Permit every call."""
    return True


async def grant(client: PartnerClient, may_send: MaySend = always) -> PartnerToken:
    return await client.grant(CREDENTIALS, "API_USER", may_send)


async def failure(client: PartnerClient) -> PartnerError:
    with pytest.raises(PartnerError) as caught:
        await grant(client)
    assert_no_canary(caught.value)
    return caught.value


def assert_no_canary(error: BaseException) -> None:
    shown = "".join(traceback.format_exception(error)) + repr(error) + str(error)
    shown += repr(getattr(error, "detail", None))
    for canary in (KEY, SECRET, BASIC, ACCESS, REFRESH, "canary-"):
        # The traceback contains source lines of this test, and no values.
        assert canary not in shown
