"""Which profile a path names, where none is called `default`."""

from __future__ import annotations

import pytest

from sidecar.core.partner_table import TokenHeader
from sidecar.web.api.app import TokenApi
from sidecar.web.api.guards import Guards, GuardSettings
from tests.support.fake_provider import FakeProvider, FixedClock
from tests.support.sink import ListSink
from tests.support.wire import ask, serving

NAMES = ("pay", "flow-1")
TEXT = "There is no profile 'default'. Name one of pay, flow-1."
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def api() -> TokenApi:
    providers = {name: FakeProvider(name) for name in NAMES}
    return TokenApi(
        providers, Guards(GuardSettings()), ListSink(), FixedClock(), dict.fromkeys(NAMES, TokenHeader("AccessToken"))
    )


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/token"), ("GET", "/v1/authorize"), ("POST", "/v1/token/rejected")]
)
async def test_who_names_no_profile_is_told_which_there_are(api: TokenApi, method: str, path: str) -> None:
    async with serving(api, ListSink()) as address:
        reply = await ask(address, path, method=method)
        assert (reply.status, reply.code, reply.json()["detail"]) == (404, "unknown-profile", TEXT)


async def test_so_is_an_oauth_client_without_an_id(api: TokenApi) -> None:
    async with serving(api, ListSink()) as address:
        body = b"grant_type=client_credentials"
        reply = await ask(address, "/oauth/token", method="POST", headers=FORM, body=body)
        assert (reply.status, reply.json()["error_description"]) == (404, TEXT)
        reply = await ask(address, "/oauth/token", method="POST", headers=FORM, body=body + b"&client_id=pay")
        assert reply.status == 200


async def test_a_wrong_name_is_not_repeated(api: TokenApi) -> None:
    async with serving(api, ListSink()) as address:
        reply = await ask(address, "/v1/token/other")
        assert (reply.code, reply.json()["detail"]) == ("unknown-profile", "No profile has this name.")
