"""Real clients call the partner through the gateway, unchanged but for their base URL and one default header."""

from __future__ import annotations

import hashlib
import json

import pytest

from tests.clients.curl import with_curl
from tests.clients.gateway_clients import (
    Client,
    Step,
    document,
    pieces,
    with_aiohttp,
    with_fetch,
    with_httpx,
    with_java,
    with_requests,
)
from tests.clients.gateway_site import CREATE, GatewaySite
from tests.clients.recording_partner import COMPRESSED, ELSEWHERE, LARGE, PATHS, TEXT
from tests.support.programs import needs

IN_PYTHON = {"requests": with_requests, "httpx": with_httpx, "aiohttp": with_aiohttp}
PROGRAMS_OF = {"curl": "curl", "fetch": "node", "java": "javac"}
DECOMPRESSING = ("requests", "httpx", "aiohttp", "fetch")
"""They ask for compression, and give the app the decompressed body."""
MEBIBYTE = 1024 * 1024
"""The limit of a body, unless a setting changes it."""


@pytest.fixture(params=[*IN_PYTHON, *(pytest.param(each, marks=needs(name)) for each, name in PROGRAMS_OF.items())])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def client(name: str, request: pytest.FixtureRequest) -> Client:
    if name == "java":
        return with_java(request.getfixturevalue("java_classes"))
    others: dict[str, Client] = {"curl": with_curl, "fetch": with_fetch}
    return (IN_PYTHON | others)[name]


def test_a_get_reaches_the_partner_with_its_query_and_the_token(client: Client, gateway: GatewaySite) -> None:
    target = "/api/pay1st/payments?reference=a%20b&from=2026-01-01T00:00:00%2B01:00&page=2"
    (response,) = client(gateway.url, [Step("get", target)])
    assert (response.status, json.loads(response.body)) == (200, {"target": target})
    assert (response.headers["sidecar-answer"], response.headers["sidecar-attempts"]) == ("partner", "1")
    (seen,) = gateway.seen
    assert (seen.target, seen.signature) == (target, "missing")
    assert seen.headers["accesstoken"].startswith("Bearer canary-token-")
    assert {"sidecar-request", "upgrade", "http2-settings", "connection", "content-length"} & set(seen.headers) == set()


@pytest.mark.parametrize("size", [0, 900_000])
def test_posted_json_is_signed_as_the_client_wrote_it(size: int, client: Client, gateway: GatewaySite) -> None:
    (response,) = client(gateway.url, [Step("json", CREATE, size)])
    (seen,) = gateway.seen
    assert (response.status, response.digest) == (201, hashlib.sha256(seen.body).hexdigest())
    assert (json.loads(seen.body), seen.headers["content-type"]) == (document(size), "application/json")
    assert (seen.signature, seen.headers["content-length"]) == ("valid", str(len(seen.body)))


@pytest.mark.parametrize("path", ["large", "chunked"])
def test_five_megabytes_arrive_whole(path: str, client: Client, gateway: GatewaySite) -> None:
    (response,) = client(gateway.url, [Step("get", f"{PATHS}/{path}")])
    assert (response.status, response.length, response.digest) == (200, len(LARGE), hashlib.sha256(LARGE).hexdigest())
    announced = {"large": str(len(LARGE)), "chunked": None}
    assert response.headers.get("content-length") == announced[path]


def test_a_compressed_body_stays_compressed(name: str, client: Client, gateway: GatewaySite) -> None:
    (response,) = client(gateway.url, [Step("get", f"{PATHS}/compressed")])
    assert response.body == (TEXT if name in DECOMPRESSING else COMPRESSED)
    assert (response.headers["content-encoding"], response.headers["content-length"]) == ("gzip", str(len(COMPRESSED)))
    (seen,) = gateway.seen
    assert ("gzip" in seen.headers.get("accept-encoding", "")) == (name in DECOMPRESSING)


def test_a_streamed_upload_is_signed_and_gets_a_length(client: Client, gateway: GatewaySite) -> None:
    body = b"".join(pieces(10))
    (response,) = client(gateway.url, [Step("stream", CREATE, 10)])
    (seen,) = gateway.seen
    assert (response.status, response.digest, seen.body) == (201, hashlib.sha256(body).hexdigest(), body)
    assert (seen.signature, seen.headers["content-length"]) == ("valid", str(len(body)))
    assert "transfer-encoding" not in seen.headers


def test_a_connection_is_kept_on_both_sides(name: str, client: Client, gateway: GatewaySite) -> None:
    before = len(gateway.audited())
    paths = ("/api/pay1st/payments", f"{PATHS}/large", f"{PATHS}/chunked", f"{PATHS}/compressed")
    steps = [step for path in paths for step in (Step("get", path), Step("json", CREATE))]
    assert [response.status for response in client(gateway.url, steps)] == [200, 201] * len(paths)
    # Java's default client asks for an upgrade each time, and such a request is the last one on its connection.
    assert len(gateway.callers_of(len(steps), before)) == (len(steps) if name == "java" else 1)
    assert [seen.method for seen in gateway.seen] == ["GET", "POST"] * len(paths)
    assert len({seen.connection for seen in gateway.seen}) == 1


def test_a_head_has_the_partners_length_and_the_next_request_works(client: Client, gateway: GatewaySite) -> None:
    head, get = client(gateway.url, [Step("head", f"{PATHS}/large"), Step("get", "/api/pay1st/payments")])
    assert (head.status, head.headers["content-length"], head.length) == (200, str(len(LARGE)), 0)
    assert (get.status, [seen.method for seen in gateway.seen]) == (200, ["HEAD", "GET"])


def test_a_get_that_got_401_is_sent_once_more(client: Client, gateway: GatewaySite) -> None:
    client(gateway.url, [Step("get", "/api/pay1st/payments")])
    gateway.reset()
    gateway.partner.revoke()
    (response,) = client(gateway.url, [Step("get", "/api/pay1st/payments")])
    assert (response.status, response.headers["sidecar-attempts"]) == (200, "2")
    first, second = gateway.seen
    assert first.headers["accesstoken"] != second.headers["accesstoken"]


def test_a_post_that_got_401_is_passed_on_and_the_next_one_works(client: Client, gateway: GatewaySite) -> None:
    client(gateway.url, [Step("get", "/api/pay1st/payments")])
    gateway.reset()
    gateway.partner.revoke()
    refused, created = client(gateway.url, [Step("json", CREATE), Step("json", CREATE)])
    assert (refused.status, json.loads(refused.body)) == (401, {"errorCode": "InvalidToken"})
    assert (refused.headers["sidecar-token"], refused.headers["sidecar-answer"]) == ("replaced", "partner")
    assert (created.status, "sidecar-token" in created.headers) == (201, False)
    assert [seen.method for seen in gateway.seen] == ["POST", "POST"]


def test_a_redirect_is_passed_on(client: Client, gateway: GatewaySite) -> None:
    (response,) = client(gateway.url, [Step("get", f"{PATHS}/moved")])
    assert (response.status, response.headers["location"], response.body) == (302, ELSEWHERE, b"moved")
    assert len(gateway.seen) == 1


@pytest.mark.parametrize("kind", ["get", "json", "stream"])
def test_an_error_of_the_sidecar_is_readable(kind: str, client: Client, gateway: GatewaySite) -> None:
    steps = [Step(kind, "/api/pay1st/auth/token", 2), Step("get", "/api/pay1st/payments")]  # type: ignore[arg-type]
    refused, next_one = client(gateway.url, steps)
    assert (refused.status, refused.code) == (403, "gateway-not-allowed")
    assert (refused.headers["sidecar-answer"], refused.headers["sidecar-attempts"]) == ("sidecar", "0")
    assert (next_one.status, len(gateway.seen)) == (200, 1)


@pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")  # of aiohttp
@pytest.mark.parametrize("step", [Step("json", CREATE, MEBIBYTE), Step("stream", CREATE, 11)], ids=["json", "stream"])
def test_the_error_for_a_body_that_is_too_large_is_readable(step: Step, client: Client, gateway: GatewaySite) -> None:
    (refused,) = client(gateway.url, [step])
    assert (refused.status, refused.code) == (413, "payload-too-large")
    assert gateway.seen == []
