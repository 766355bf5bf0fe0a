"""The form of a request: each path takes the methods, bodies and sizes it needs, and no others."""

from __future__ import annotations

import pytest

from sidecar.web.api import app
from sidecar.web.api.oauth import MAX_FORM_BYTES
from tests.support.admin_api import admin_api
from tests.support.fake_provider import FakeProvider
from tests.support.sink import ListSink
from tests.support.vending_service import vending_service
from tests.support.wire import ask, exchange, serving

READ = ["/v1/token", "/v1/token/other", "/openapi.json"]
WRITTEN = ["/v1/token/rejected", "/v1/token/other/rejected", "/oauth/token"]
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "FOO"])
@pytest.mark.parametrize("path", READ)
async def test_what_is_read_takes_get_and_head_alone(path: str, method: str) -> None:
    async with vending_service() as service:
        reply = await ask(service.address, path, method=method)
        assert reply.status in ((405,) if method != "FOO" else (400, 405))
        if reply.status == 405:
            assert (reply.code, reply.header("Allow")) == ("method-not-allowed", "GET, HEAD")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
@pytest.mark.parametrize("path", WRITTEN)
async def test_what_is_written_to_takes_post_alone(path: str, method: str) -> None:
    async with vending_service() as service:
        reply = await ask(service.address, path, method=method)
        assert (reply.status, reply.header("Allow")) == (405, "POST")


@pytest.mark.parametrize("path", READ)
@pytest.mark.parametrize("body", [b"Content-Length: 1\r\n\r\nx", CHUNKED], ids=["length", "chunked"])
async def test_what_is_read_takes_no_body(path: str, body: bytes) -> None:
    """Whoever counts its bytes in another way would take it for the next request."""
    async with vending_service() as service:
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nSidecar-Request: true\r\nConnection: close\r\n"
        reply = await exchange(service.address, head.encode() + body)
        assert (reply.status, reply.code) == (400, "bad-request")


async def test_a_body_of_no_bytes_is_none() -> None:
    async with vending_service() as service:
        assert (await service.get("/v1/token", {"Content-Length": "0"})).status == 200


async def test_the_admin_listener_takes_no_body_either() -> None:
    async with serving(admin_api({"default": FakeProvider()}), ListSink()) as address:
        for path in ("/livez", "/readyz", "/startupz", "/metrics", "/status.json"):
            assert (await ask(address, path, body=b"x")).code == "bad-request"


async def test_a_form_beyond_its_limit_is_413() -> None:
    async with vending_service() as service:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        fits = b"grant_type=client_credentials&x="
        assert (await service.post("/oauth/token", fits.ljust(MAX_FORM_BYTES, b"x"), headers)).status == 200
        beyond = await service.post("/oauth/token", fits.ljust(MAX_FORM_BYTES + 1, b"x"), headers)
        assert (beyond.status, beyond.code) == (413, "payload-too-large")


async def test_a_path_that_leads_nowhere_keeps_nothing_of_those_who_asked() -> None:
    """An error that lives on and is raised again grows by a frame each time, and keeps its requests."""
    async with vending_service() as service:
        for _ in range(3):
            assert (await service.get("/nowhere")).status == 404
        assert app._NO_SUCH_PATH.error.__traceback__ is None
