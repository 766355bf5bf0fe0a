"""The sandbox as a partner that is a table: as strict as the table, and with an API to sign for."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from sidecar.core.model import Budget, Credentials, Secret
from sidecar.core.partner_table import PartnerTable
from sidecar.core.partner_vocabulary import read_table
from sidecar.core.signing import signature_headers
from sidecar.partner.client import PartnerClient
from sidecar.partner.token_request import TokenRequest, grant_request, refresh_request
from sidecar.partner.transport import open_session
from sidecar.sandbox import Sandbox, SandboxConfig
from tests.support.canary_call import always
from tests.support.hand_clock import HandClock
from tests.support.replica import PATIENT_S

KEY, SECRET = "key with space+é", "s:cret%&é"
CREDENTIALS = Credentials(api_key=Secret("plain-key"), api_secret=Secret(SECRET), signing_key=Secret("signing-key"))
Table = dict[str, object]
IN_BODY: Table = {"client_auth": "body", "key_field": "id", "secret_field": "secret"}
IN_HEADERS: Table = {"client_auth": "header", "key_header": "X-Id", "secret_header": "X-Secret"}
NESTED: Table = {"access_field": "data.token", "expires_field": "data.ttl"}
REFRESHES: Table = {"refresh_path": "/v1/renew", "refresh_field": "data.renewal", "refresh_fields": {"how": "again"}}
SIGNED: Table = {
    "token_header": "X-Token",
    "token_scheme": "",
    "sign": {
        "parts": ["body", "timestamp"],
        "timestamp_header": "X-T",
        "signature_header": "X-S",
        "encoding": "base64",
    },
    "gateway_allow": ["GET /v1/orders*", "POST /v1/orders", "PUT /v1/orders/*", "HEAD /v1/orders"],
    "probe_path": "/v1/me",
}
CONSTANTS: Table = {
    "fields": {"a": "ü", "n": 1, "yes": True, "pwd": "p"},
    "headers": {"X-Version": "2", "X-Api-Key": "k"},
}
SHAPES: dict[str, Table] = {
    "json-basic": {},
    "json-body": IN_BODY | NESTED,
    "json-header": IN_HEADERS | {"role_field": "role"},
    "form-basic": {"request": "form"},
    "form-body": IN_BODY | {"request": "form"} | CONSTANTS,
    "constants": CONSTANTS | NESTED | {"success_status": 201},
    "refresh": REFRESHES | CONSTANTS,
    "refresh-header": REFRESHES | IN_HEADERS | {"refresh_auth": False},
    "refresh-same-path": REFRESHES | IN_BODY | {"request": "form", "refresh_path": "/v1/token"},
    "oauth2": {
        "oauth2": True,
        "request": "form",
        "fields": {"grant_type": "client_credentials", "scope": "a b"},
        "refresh_path": "/v1/token",
        "refresh_field": "refresh_token",
        "refresh_fields": {"grant_type": "refresh_token"},
    },
    "odd-paths": {"token_path": "/a-b/c_d.e/~f!$&'()+,=:@*/", "refresh_path": "/o/token/", "refresh_field": "r"},
}


class TableBench:
    def __init__(self, table: PartnerTable, sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
        self.table, self.sandbox, self.session = table, sandbox, session
        self.client = PartnerClient(table, sandbox.url, PATIENT_S, session, sandbox.state.clock)

    async def send(self, request: TokenRequest, **changed: Any) -> tuple[int, dict[str, Any]]:  # noqa: ANN401 - of TokenRequest
        headers = {**request.headers, "Content-Type": request.content_type} | changed.pop("headers", {})
        return await self.request(
            changed.pop("method", "POST"), request.path, headers, changed.pop("body", request.body)
        )

    async def request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> tuple[int, dict[str, Any]]:
        url = self.sandbox.url + path
        async with self.session.request(method, url, headers=headers, data=body or None) as response:
            content = await response.read()
            return response.status, json.loads(content) if content else {}

    async def grant(self, key: str = "plain-key") -> str:
        made = await self.client.grant(self.credentials(key), "API_USER", always)
        return made.access.reveal()

    def credentials(self, key: str = "plain-key") -> Credentials:
        return Credentials(api_key=Secret(key), api_secret=Secret(SECRET))


@asynccontextmanager
async def opened(document: Mapping[str, object], **config: Any) -> AsyncIterator[TableBench]:  # noqa: ANN401 - of SandboxConfig
    table = read_table("acme", {"token_path": "/v1/token"} | dict(document))
    settings = SandboxConfig(
        api_key=CREDENTIALS.api_key,
        api_secret=CREDENTIALS.api_secret,
        signing_key=CREDENTIALS.signing_key,
        partners=(table,),
        limit=Budget(1000, 60),
        **config,
    )
    sandbox = Sandbox(settings, HandClock())
    await sandbox.start()
    try:
        async with open_session() as session:
            yield TableBench(table, sandbox, session)
    finally:
        await sandbox.stop()


@pytest.mark.parametrize("shape", SHAPES)
async def test_the_client_gets_and_refreshes_tokens_of_every_shape(shape: str) -> None:
    async with opened(SHAPES[shape], declares_lifetime=True) as bench:
        bench.sandbox.state.accept(KEY, SECRET)
        for key in ("plain-key", KEY):
            token = await bench.client.grant(bench.credentials(key), "API_USER", always)
            assert token.lifetime_s == 900
            assert (token.refresh is not None) == bench.client.can_refresh
            if token.refresh is not None:
                again = await bench.client.refresh(token.refresh, bench.credentials(key), "API_USER", always)
                assert again.access != token.access
        wanted = ["grant", "refresh"] * 2 if bench.client.can_refresh else ["grant"] * 2
        assert [str(call.operation) for call in bench.sandbox.state.journal.calls] == wanted


def changes(table: PartnerTable, request: TokenRequest) -> dict[str, dict[str, Any]]:
    """Return requests that differ from the table in one place, by what differs."""
    found: dict[str, dict[str, Any]] = {
        "method": {"method": "PUT"},
        "content type": {"headers": {"Content-Type": "text/plain"}},
        "charset": {"headers": {"Content-Type": f"{table.content_type}; charset=utf-8"}},
        "no body": {"body": b"["},
    }
    found |= {f"header {name}": {"headers": {name: "other"}} for name in request.headers}
    if table.client_auth != "basic":
        found["needless basic"] = {"headers": {"Authorization": "Basic eDp5"}}
    if table.request == "json":
        document = json.loads(request.body)
        found |= {f"without {name}": {"body": _json(document, name)} for name in document}
        found |= {f"other {name}": {"body": json.dumps(document | {name: 2}).encode()} for name in document}
        found["another field"] = {"body": json.dumps(document | {"more": "1"}).encode()}
        found["twice"] = {"body": b"[" + request.body + b"]"}
    else:
        pairs = [pair for pair in request.body.split(b"&") if pair]
        found |= {f"without {pair!r}": {"body": b"&".join(each for each in pairs if each != pair)} for pair in pairs}
        found |= {f"other {pair!r}": {"body": request.body.replace(pair, pair + b"x")} for pair in pairs}
        found["another field"] = {"body": b"&".join([*pairs, b"more=1"])}
        if pairs:
            found["twice"] = {"body": request.body + b"&" + pairs[0]}
    return found


def _json(document: Mapping[str, object], without: str) -> bytes:
    return json.dumps({name: value for name, value in document.items() if name != without}).encode()


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_request_that_differs_in_one_place_gets_no_token(shape: str) -> None:
    async with opened(SHAPES[shape]) as bench:
        token = await bench.client.grant(bench.credentials(), "API_USER", always)
        requests = [grant_request(bench.table, bench.credentials(), "API_USER", None)]
        if token.refresh is not None:
            requests.append(refresh_request(bench.table, token.refresh, bench.credentials(), "API_USER", None))
        for request in requests:
            for what, changed in changes(bench.table, request).items():
                status, document = await bench.send(request, **changed)
                assert status in (400, 401, 405), (what, document)
            # With no change it is answered: the changes alone were the reason.
            assert (await bench.send(request))[0] == bench.table.success_status


async def test_a_refresh_without_credentials_must_not_send_them() -> None:
    async with opened(SHAPES["refresh-header"]) as bench:
        token = await bench.client.grant(bench.credentials(), "API_USER", always)
        assert token.refresh is not None
        request = refresh_request(bench.table, token.refresh, bench.credentials(), "API_USER", None)
        for name in ("X-Id", "X-Secret", "Authorization"):
            assert (await bench.send(request, headers={name: "x"}))[0] == 400
        assert (await bench.send(request))[0] == 200


@pytest.mark.parametrize(
    ("shape", "status", "said"), [("refresh", 401, {}), ("oauth2", 400, {"error": "invalid_grant"})]
)
async def test_a_refresh_token_that_is_not_valid_is_no_error_of_the_credentials_in_oauth2(
    shape: str, status: int, said: dict[str, str]
) -> None:
    """RFC 6749 section 5.2."""
    async with opened(SHAPES[shape]) as bench:
        request = refresh_request(bench.table, Secret("unknown"), bench.credentials(), "API_USER", None)
        answered, document = await bench.send(request)
        assert (answered, said.items() <= document.items()) == (status, True)


async def test_basic_of_oauth2_has_to_be_form_encoded() -> None:
    async with opened(SHAPES["oauth2"]) as bench:
        request = grant_request(bench.table, bench.credentials(), "API_USER", None)
        plain = "Basic " + base64.b64encode(f"plain-key:{SECRET}".encode()).decode()
        status, document = await bench.send(request, headers={"Authorization": plain})
        assert (status, document["error"]) == (401, "invalid_client")


async def test_what_the_rules_name_takes_a_token_and_a_signature() -> None:
    async with opened(SIGNED) as bench:
        token = {"X-Token": await bench.grant()}
        recipe, clock, body = bench.table.sign, bench.sandbox.state.clock, b'{"order": 1}'
        assert recipe is not None
        signed = token | signature_headers(recipe, Secret("signing-key"), body, clock.wall())
        assert await bench.request("POST", "/v1/orders", signed, body) == (
            201,
            {"method": "POST", "path": "/v1/orders", "bytes": 12},
        )
        assert (await bench.request("PUT", "/v1/orders/1", signed, body))[0] == 200
        assert (await bench.request("GET", "/v1/orders/1?x=y", token))[0] == 200
        assert await bench.request("HEAD", "/v1/orders", token) == (200, {})
        assert (await bench.request("GET", "/v1/me", token))[0] == 200
        assert (await bench.request("GET", "/v1/orders", {}))[0] == 401
        assert (await bench.request("GET", "/v1/orders", {"X-Token": "Bearer " + token["X-Token"]}))[0] == 401
        for method, path in (("POST", "/v1/orders"), ("PUT", "/v1/orders/1")):
            status, document = await bench.request(method, path, token, body)
            assert (status, document["errorCode"]) == (400, "SANDBOX-SIGNATURE-MISSING")
            status, document = await bench.request(method, path, signed, body + b" ")
            assert (status, document["errorCode"]) == (400, "SANDBOX-SIGNATURE-WRONG")
        for method, path in (("DELETE", "/v1/orders/1"), ("POST", "/v1/orders/1"), ("GET", "/v1/order"), ("GET", "/")):
            assert (await bench.request(method, path, signed, body))[0] == 404
        journal = bench.sandbox.state.journal.shown()
        assert journal["counts"]["POST /v1/orders"] == {201: 1, 400: 2}  # type: ignore[index]


async def test_an_old_token_ends_and_a_checkout_path_of_a_table_is_its_own() -> None:
    async with opened(SIGNED | {"gateway_allow": ["POST /checkout"]}) as bench:
        token = {"X-Token": await bench.grant()}
        assert (await bench.request("POST", "/checkout", token))[0] == 400
        bench.sandbox.state.accounts["acme"].revoke()
        assert (await bench.request("POST", "/checkout", token))[0] == 401
