"""`sidecar.client` with `sign`: which headers are sent together, where to, and what shows them."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import aiohttp
import httpx
import pytest

from sidecar.client.aiohttp import SidecarAuth as AiohttpAuth
from sidecar.client.errors import TokenUnavailableError
from sidecar.client.httpx import SidecarAuth as HttpxAuth
from sidecar.client.requests import SidecarRequests, partner_headers
from tests.clients.numbered_sidecar import SIGNATURE, TIMESTAMP, TOKEN, NumberedSidecar
from tests.clients.redirector import Redirector, Seen
from tests.clients.senders import SENDERS, Answer

NAMES = (TOKEN, TIMESTAMP, SIGNATURE)


class Sending:
    """One of the clients, with one auth object."""

    def __init__(self, name: str, sidecar: NumberedSidecar) -> None:
        auth, self._send = SENDERS[name]
        self.auth = auth(sidecar.url, sign=True, profile="one")

    def __call__(self, *given: Any, **options: Any) -> Answer:  # noqa: ANN401 - those of `Sender`
        return self._send(self.auth, *given, **options)


@pytest.fixture(params=SENDERS)
def send(request: pytest.FixtureRequest, sidecar: NumberedSidecar) -> Sending:
    return Sending(request.param, sidecar)


def numbers(seen: Seen) -> list[list[str]]:
    """Return the ends of the values of token, timestamp and signature, in this order."""
    return [[value.rpartition("-")[2] for name, value in seen.headers if name == wanted] for wanted in NAMES]


def signed(number: int) -> list[list[str]]:
    return [[str(number)]] * 3


def with_token(number: int) -> list[list[str]]:
    return [[str(number)], [], []]


NOTHING: list[list[str]] = [[], [], []]


def test_token_and_signature_come_from_one_response_which_names_the_headers(
    send: Sending, sidecar: NumberedSidecar, origin: Redirector
) -> None:
    assert send("POST", origin.url, b"body").status == 200
    assert sidecar.seen == [("/v1/sign/one", b"body")]
    assert [(seen.body, numbers(seen)) for seen in origin.seen] == [(b"body", signed(1))]


def test_after_a_401_all_headers_are_those_of_the_next_response(
    send: Sending, sidecar: NumberedSidecar, origin: Redirector
) -> None:
    origin.status = 401
    assert send("POST", origin.url, b"body").status == 401
    assert sidecar.paths == ["/v1/sign/one", "/v1/token/one/rejected", "/v1/sign/one"]
    assert json.loads(sidecar.seen[1][1]) == {"accessToken": "canary-token-1"}
    assert [(seen.body, numbers(seen)) for seen in origin.seen] == [(b"body", signed(1)), (b"body", signed(3))]


def test_the_apps_own_headers_are_replaced_in_any_spelling(send: Sending, origin: Redirector) -> None:
    send("POST", origin.url, b"body", headers={name.upper(): "mine" for name in NAMES})
    assert numbers(origin.seen[0]) == signed(1)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_takes_a_signature_to_another_origin(
    status: int, send: Sending, origin: Redirector, other: Redirector
) -> None:
    origin.locations["/go"] = status, f"{other.url}/here"
    other.status = 401
    assert send("POST", f"{origin.url}/go", b"body", follow=True).status == 401
    assert [numbers(seen) for seen in (*origin.seen, *other.seen)] == [signed(1), NOTHING]
    assert "canary" not in str(other.seen[0].headers)


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_within_the_origin_that_keeps_the_body_is_signed(
    status: int, send: Sending, origin: Redirector
) -> None:
    origin.locations["/go"] = status, "/here"
    assert send("POST", f"{origin.url}/go", b"body", "stream", follow=True).status == 200
    _, seen = origin.seen
    assert (seen.method, seen.target, seen.body) == ("POST", "/here", b"body")
    (number,) = numbers(seen)[0]
    assert numbers(seen) == signed(int(number))


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirect_that_drops_the_body_drops_the_signature(
    status: int, send: Sending, sidecar: NumberedSidecar, origin: Redirector
) -> None:
    origin.locations["/pay"] = status, "/receipt"
    origin.status = 401
    assert send("POST", f"{origin.url}/pay", b"body", follow=True).status == 401
    assert [(seen.method, seen.target) for seen in origin.seen] == [
        ("POST", "/pay"), ("GET", "/receipt"), ("GET", "/receipt"),
    ]  # fmt: skip
    pay, *receipts = origin.seen
    assert numbers(pay) == signed(1)
    assert all(numbers(seen)[1:] == [[], []] and len(numbers(seen)[0]) == 1 for seen in receipts)
    assert sidecar.paths.count("/v1/sign/one") == 1


def test_the_next_request_without_a_body_has_the_token_alone(send: Sending, origin: Redirector) -> None:
    send("POST", origin.url, b"body")
    send("GET", origin.url, kind="none")
    assert [numbers(seen) for seen in origin.seen] == [signed(1), with_token(2)]


TOKEN_ONLY = {TOKEN: "Bearer canary"}
MALFORMED = [
    b"", b"[]", b"{}", b'{"headers": []}', b'{"headers": {}}', b"{" * 9_000, b"\xff",
    *(json.dumps({"headers": headers}).encode() for headers in (
        TOKEN_ONLY,
        {SIGNATURE: "canary", TIMESTAMP: "canary"},
        {**TOKEN_ONLY, SIGNATURE: 1},
        {**TOKEN_ONLY, SIGNATURE: ""},
        {**TOKEN_ONLY, SIGNATURE: "canary\r\nX-Canary: canary"},
        {**TOKEN_ONLY, SIGNATURE: "canary\n"},
        {**TOKEN_ONLY, SIGNATURE: "canary-\u00fc"},
        {**TOKEN_ONLY, "X Canary": "canary"},
        {**TOKEN_ONLY, "": "canary"},
    )),
]  # fmt: skip


@pytest.mark.parametrize("body", MALFORMED, ids=range(len(MALFORMED)))
def test_without_a_token_and_a_signature_that_can_be_sent_nothing_is(
    body: bytes, send: Sending, sidecar: NumberedSidecar, origin: Redirector
) -> None:
    sidecar.response = 200, body
    with pytest.raises(TokenUnavailableError, match="the 200 response is not from a sidecar") as caught:
        send("POST", origin.url, b"body")
    assert "canary" not in repr(caught.value)
    assert origin.seen == []


def test_the_time_to_wait_is_that_of_the_sidecar(send: Sending, sidecar: NumberedSidecar, origin: Redirector) -> None:
    sidecar.response = 503, b'{"code": "overloaded", "retryAfter": 1, "detail": "canary"}'
    with pytest.raises(TokenUnavailableError) as caught:
        send("POST", origin.url, b"body")
    assert (caught.value.status, caught.value.code, caught.value.retry_after_s) == (503, "overloaded", 1)
    assert "canary" not in str(caught.value)
    assert origin.seen == []


def test_no_log_and_no_repr_shows_a_signature(
    send: Sending, origin: Redirector, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        send("POST", origin.url, b"body")
    assert "canary" not in caplog.text + repr(send.auth)
    requests = SidecarRequests(sign=True)
    wanted = requests.headers("POST", b"canary")
    body = json.dumps({"headers": {**TOKEN_ONLY, SIGNATURE: "canary"}}).encode()
    found = partner_headers(wanted, 200, {}, body)
    assert [header.value for header in found] == ["Bearer canary", "canary"]
    assert "canary" not in repr((requests, wanted, found))


def test_headers_of_httpx_that_are_listed_or_copied_are_without_the_signature(
    sidecar: NumberedSidecar, origin: Redirector
) -> None:
    shown: list[str] = []

    def look(request: httpx.Request) -> None:
        shown.extend([repr(request.headers), str(dict(request.headers)), str(httpx.Headers(request.headers))])
        assert request.headers[SIGNATURE.upper()] == "canary-signature-1"
        request.headers = httpx.Headers(request.headers)

    auth = HttpxAuth(sidecar.url, sign=True)
    with httpx.Client(auth=auth, event_hooks={"request": [look]}, trust_env=False) as client:
        client.post(origin.url, content=b"body")
    assert "canary" not in "".join(shown)
    assert numbers(origin.seen[0]) == signed(1)


def test_a_hook_of_httpx_cannot_add_a_second_signature(sidecar: NumberedSidecar, origin: Redirector) -> None:
    def add(request: httpx.Request) -> None:
        request.headers[SIGNATURE] = "mine"

    auth = HttpxAuth(sidecar.url, sign=True)
    with httpx.Client(auth=auth, event_hooks={"request": [add]}, trust_env=False) as client:
        client.post(origin.url, content=b"body")
    assert numbers(origin.seen[0]) == signed(1)


def test_another_transport_of_httpx_gets_each_header_once(sidecar: NumberedSidecar) -> None:
    seen: list[list[str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append([value.decode() for name, value in request.headers.raw if name.decode().lower() in NAMES])
        return httpx.Response(200)

    auth = HttpxAuth(sidecar.url, sign=True)
    with httpx.Client(auth=auth, transport=httpx.MockTransport(answer)) as client:
        client.post("http://partner.invalid", content=b"body", headers=dict.fromkeys(NAMES, "mine"))
    (values,) = seen
    assert sorted(values) == ["Bearer canary-token-1", "canary-signature-1", "canary-time-1"]


@pytest.mark.parametrize("sign", [True, False])
def test_no_response_and_no_error_of_aiohttp_shows_token_or_signature(
    sign: bool, sidecar: NumberedSidecar, origin: Redirector
) -> None:
    origin.status = 401
    shown: list[str] = []

    async def look() -> None:
        auth = AiohttpAuth(sidecar.url, sign=sign)
        async with aiohttp.ClientSession(middlewares=[auth]) as session:
            async with session.post(origin.url, data=b"body") as response:
                shown.extend([repr(response), repr(response.request_info)])
            with pytest.raises(aiohttp.ClientResponseError) as caught:
                await session.post(origin.url, data=b"body", raise_for_status=True)
            shown.append(repr(caught.value))

    asyncio.run(look())
    assert len(origin.seen) == 4
    assert all("canary" in str(seen.headers) for seen in origin.seen)
    assert "canary" not in "".join(shown)
    assert "Host" in shown[2]
