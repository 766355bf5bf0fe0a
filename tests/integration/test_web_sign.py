"""`POST /v1/sign` through a real socket."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import random
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sidecar.core import signing
from sidecar.core.errors import CoolingDownError, StartingError
from sidecar.core.events import RequestSigned
from sidecar.core.listener_limits import Limits
from sidecar.core.model import Secret, token_id_of
from sidecar.vending import signer
from sidecar.web.api.guards import GuardSettings
from sidecar.web.api.request_reading import SMALL_BYTES
from tests.support.fake_provider import NOW, vended
from tests.support.vending_service import VendingService, vending_service
from tests.support.wire import ASKING, Reply, ask, parse

ONE = token_id_of(Secret("access-token-one"))
BODY = b'{"amount": 100, "text": "\xff\x00\r\n"}'


@pytest.fixture
async def service() -> AsyncIterator[VendingService]:
    async with vending_service() as running:
        yield running


def expected(body: bytes, timestamp: str, key: str = "signing-key-of-default") -> str:
    return hmac.new(key.encode(), timestamp.encode() + body, hashlib.sha256).hexdigest()


def agrees(reply: Reply, body: bytes) -> bool:
    """Whether the reply's signature is that of its own timestamp and this body."""
    headers: dict[str, str] = reply.json()["headers"]
    return headers["X-SIGNATURE"] == expected(body, headers["X-TIMESTAMP"])


async def test_the_headers_come_with_the_facts_about_their_token(service: VendingService) -> None:
    reply = await service.post("/v1/sign", BODY)
    timestamp = "2026-01-01T00:00:00.000Z"
    assert (reply.status, reply.header("Cache-Control")) == (200, "no-store")
    assert reply.json() == {
        "headers": {
            "AccessToken": "Bearer access-token-one",
            "X-TIMESTAMP": timestamp,
            "X-SIGNATURE": expected(BODY, timestamp),
        },
        "tokenId": ONE,
        "expiresAt": "2026-01-01T00:15:00Z",
        "signedAt": timestamp,
    }


async def test_a_profile_is_signed_for_with_its_own_key_and_header(service: VendingService) -> None:
    headers = (await service.post("/v1/sign/other", BODY)).json()["headers"]
    assert list(headers) == ["X-Other", "X-TIMESTAMP", "X-SIGNATURE"]
    assert headers["X-SIGNATURE"] == expected(BODY, headers["X-TIMESTAMP"], "signing-key-of-other")
    assert service.served == [("other", "sign", "ok")]


async def test_plain_text_has_one_header_per_line(service: VendingService) -> None:
    reply = await service.post("/v1/sign", BODY, {"Accept": "text/plain"})
    timestamp = "2026-01-01T00:00:00.000Z"
    assert reply.header("Content-Type") == "text/plain; charset=utf-8"
    assert reply.body.decode() == (
        f"AccessToken: Bearer access-token-one\nX-TIMESTAMP: {timestamp}\nX-SIGNATURE: {expected(BODY, timestamp)}\n"
    )


@pytest.mark.parametrize("accept", ["application/json", "text/plain"])
async def test_the_token_is_left_out_when_it_is_not_wanted(service: VendingService, accept: str) -> None:
    reply = await service.post("/v1/sign?token=no", BODY, {"Accept": accept})
    assert reply.status == 200
    assert b"access-token-one" not in reply.raw
    assert b"X-SIGNATURE" in reply.body


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content-Type": "application/vnd.carry1st.payments.payment+json"}, BODY),
        ({"Content-Type": "not a type"}, BODY),
        ({"Content-Encoding": "gzip"}, b"no gzip at all"),
        ({"Content-Encoding": "br, zstd"}, BODY),
        ({}, b""),
        ({"Content-Length": "0"}, b""),
        ({"Transfer-Encoding": "chunked", "Content-Length": ""}, b"6\r\nchunks\r\n0\r\n\r\n"),
    ],
)
async def test_the_exact_bytes_are_signed_whatever_their_headers_say(
    service: VendingService, headers: dict[str, str], body: bytes
) -> None:
    if "Transfer-Encoding" in headers:
        lines = "".join(f"{name}: {value}\r\n" for name, value in {**ASKING, "Connection": "close"}.items())
        reader, writer = await asyncio.open_connection(service.address.host, service.address.port)
        writer.write(f"POST /v1/sign HTTP/1.1\r\n{lines}Transfer-Encoding: chunked\r\n\r\n".encode() + body)
        reply, signed = parse(await reader.read()), b"chunks"
        writer.close()
    else:
        reply, signed = await service.post("/v1/sign", body, headers), body
    assert (reply.status, agrees(reply, signed)) == (200, True)


@pytest.mark.parametrize("size", [signer.ON_THE_LOOP_BYTES, signer.ON_THE_LOOP_BYTES + 1, 1 << 20])
async def test_only_long_bodies_are_hashed_in_a_thread(
    service: VendingService, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed_in: list[bool] = []

    def signature_headers(*given: Any) -> dict[str, str]:  # noqa: ANN401 - passed on
        hashed_in.append(threading.current_thread() is threading.main_thread())
        return signing.signature_headers(*given)

    monkeypatch.setattr(signer, "signature_headers", signature_headers)
    body = random.Random(1).randbytes(size)
    assert agrees(await service.post("/v1/sign", body), body)
    assert hashed_in == [size <= signer.ON_THE_LOOP_BYTES]


@pytest.mark.parametrize("size", [101, 5 << 20])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_is_too_long_is_refused(size: int, chunked: bool) -> None:
    async with vending_service(sign_max_bytes=100) as service:
        body, headers = bytes(size), {}
        if chunked:
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (size, body)
            headers = {"Transfer-Encoding": "chunked"}
            lines = "".join(f"{name}: {value}\r\n" for name, value in {**ASKING, **headers}.items())
            reader, writer = await asyncio.open_connection(service.address.host, service.address.port)
            writer.write(f"POST /v1/sign HTTP/1.1\r\nConnection: close\r\n{lines}\r\n".encode() + body)
            reply = parse(await reader.read())
            writer.close()
        else:
            reply = await service.post("/v1/sign", body, headers)
        assert (reply.status, reply.code) == (413, "payload-too-large")
        assert reply.json()["detail"] == "Send at most 100 bytes."
        assert (await service.post("/v1/sign", bytes(100))).status == 200
        assert not any(outcome != "ok" for *_, outcome in service.audited)


async def test_a_body_that_comes_too_slowly_is_refused() -> None:
    async with vending_service(limits=Limits(body_timeout_s=0.1)) as service:
        reply = await ask(service.address, "/v1/sign", method="POST", headers={"Content-Length": "9"})
        assert (reply.status, reply.code) == (400, "bad-request")
        assert reply.json()["detail"] == "Send the whole body within 0.1 s."


async def test_a_suspect_token_is_marked(service: VendingService) -> None:
    service.provider.now, service.provider.later = None, vended(suspect=True)
    reply = await service.post("/v1/sign", BODY)
    assert (reply.status, reply.header("Token-Suspect"), reply.json()["suspect"]) == (200, "true", True)
    text = await service.post("/v1/sign", BODY, {"Accept": "text/plain"})
    assert (text.header("Token-Suspect"), b"uspect" in text.body) == ("true", False)
    assert [outcome for *_, outcome in service.audited] == ["suspect"] * 2


@pytest.mark.parametrize("path", ["/v1/sign", "/v1/sign?token=no"])
@pytest.mark.parametrize("error", [StartingError("wait", retry_after_s=3), CoolingDownError("wait", retry_after_s=9)])
async def test_without_a_token_nothing_is_signed(
    service: VendingService, path: str, error: StartingError | CoolingDownError
) -> None:
    service.provider.now, service.provider.later = None, error
    reply = await service.post(path, BODY)
    assert (reply.status, reply.code, reply.json()["retryAfter"]) == (503, error.code, error.retry_after_s)
    assert not service.sink.of(RequestSigned)


async def test_without_a_signing_key_the_answer_says_where_it_belongs(service: VendingService) -> None:
    service.provider.signing_key = None
    reply = await service.post("/v1/sign", BODY)
    assert (reply.status, reply.code) == (404, "signing-not-configured")
    assert "'signing-key' in SIDECAR_CREDENTIALS_DIR" in reply.json()["detail"]
    assert service.served == [("default", "sign", "signing-not-configured")]
    assert (await service.post("/v1/sign/other", BODY)).status == 200


@pytest.mark.parametrize("query", ["token=maybe", "token=", "token", "token=no&token=no", "min_ttl=3", "x=1", "&"])
async def test_any_other_query_is_refused(service: VendingService, query: str) -> None:
    assert (await service.post(f"/v1/sign?{query}", BODY)).code == "bad-request"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v1/sign/nobody", "unknown-profile"),
        ("/v1/sign/default/rejected", "not-found"),
        ("/v1/sign/", "not-found"),
        ("/v1/Sign", "not-found"),
        ("/v1/sign/default/more", "not-found"),
    ],
)
async def test_only_the_paths_of_profiles_sign(service: VendingService, path: str, code: str) -> None:
    assert (await service.post(path, BODY)).code == code


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD"])
async def test_only_post_signs(service: VendingService, method: str) -> None:
    reply = await ask(service.address, "/v1/sign", method=method)
    assert (reply.status, reply.header("Allow")) == (405, "POST")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Sidecar-Request": "false"}, "header-required"),
        ({"X-Forwarded-For": "10.0.0.1"}, "forwarded-request"),
        ({"Origin": "https://elsewhere.test"}, "caller-not-allowed"),
        ({"Host": "elsewhere.test"}, "host-not-allowed"),
    ],
)
async def test_the_guards_are_those_of_the_token(service: VendingService, headers: dict[str, str], code: str) -> None:
    assert (await service.post("/v1/sign", BODY, headers)).code == code


async def test_proxies_that_may_forward_cannot_sign() -> None:
    async with vending_service(GuardSettings(forward_auth=True)) as service:
        assert (await service.post("/v1/sign", BODY, {"X-Forwarded-For": "10.0.0.1"})).code == "forwarded-request"


async def test_a_signature_is_counted_and_audited(service: VendingService) -> None:
    await service.post("/v1/sign?token=no", BODY)
    assert service.served == [("default", "sign", "ok")]
    assert service.audited == [("default", "sign", ONE, "ok")]
    assert service.sink.of(RequestSigned) == [RequestSigned(profile="default")]


@pytest.mark.parametrize("ahead_s", [600, -600])
async def test_the_timestamp_is_by_the_partners_clock_and_the_rest_by_ours(
    service: VendingService, ahead_s: float
) -> None:
    service.provider.partner_clock.measure(NOW + ahead_s - 0.5, sent_at=0, received_at=0)
    document = (await service.post("/v1/sign", BODY)).json()
    assert document["headers"]["X-TIMESTAMP"] == (
        "2026-01-01T00:10:00.000Z" if ahead_s > 0 else "2025-12-31T23:50:00.000Z"
    )
    assert (document["signedAt"], document["expiresAt"]) == ("2026-01-01T00:00:00.000Z", "2026-01-01T00:15:00Z")


async def test_large_bodies_that_are_signed_at_the_same_time_are_limited_and_small_ones_are_not() -> None:
    async with vending_service() as service:
        lines = "".join(f"{name}: {value}\r\n" for name, value in {**ASKING, "Connection": "close"}.items())
        head = f"POST /v1/sign HTTP/1.1\r\n{lines}Content-Length: {1 << 20}\r\n\r\n".encode()
        body = bytes(1 << 20)
        callers = [await asyncio.open_connection(service.address.host, service.address.port) for _ in range(16)]
        for _, writer in callers:
            writer.write(head)
        await asyncio.sleep(0.1)
        refused = await service.post("/v1/sign", body)
        assert (refused.status, refused.code, refused.header("Retry-After")) == (503, "overloaded", "1")
        assert (await service.post("/v1/sign/other", bytes(SMALL_BYTES))).status == 200
        for _, writer in callers:
            writer.write(body)
        for reader, writer in callers:
            assert agrees(parse(await reader.read()), body)
            writer.close()
        assert (await service.post("/v1/sign", body)).status == 200


async def test_a_request_that_waits_for_its_token_is_asked_for_no_body(service: VendingService) -> None:
    service.provider.now, service.provider.later = None, StartingError("wait", retry_after_s=3)
    reply = await ask(
        service.address, "/v1/sign", method="POST", headers={"Content-Length": "9", "Expect": "100-continue"}
    )
    assert (reply.status, b"100 Continue" in reply.raw) == (503, False)
