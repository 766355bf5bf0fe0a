"""`sidecar.client` with a sidecar that does not respond, or whose response never ends: limits of time and size."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import aiohttp
import httpx
import pytest

from sidecar.client.aiohttp import SidecarAuth as AiohttpAuth
from sidecar.client.errors import TokenUnavailableError
from sidecar.client.httpx import SidecarAuth as HttpxAuth
from tests.support.flood import flooding

LIMIT_S = 0.2
FOR_EVER_S = 86_400.0
"""A client with this time limit does not end within a test."""

Send: TypeAlias = Callable[[str, float, Any], None]


def _httpx(sidecar: str, ours_s: float, theirs: Any) -> None:  # noqa: ANN401 - the library's own argument
    with httpx.Client(auth=HttpxAuth(sidecar, timeout_s=ours_s), timeout=theirs, trust_env=False) as client:
        client.get("http://partner.invalid")


def _httpx_async(sidecar: str, ours_s: float, theirs: Any) -> None:  # noqa: ANN401 - the library's own argument
    async def send() -> None:
        auth = HttpxAuth(sidecar, timeout_s=ours_s)
        async with httpx.AsyncClient(auth=auth, timeout=theirs, trust_env=False) as client:
            await client.get("http://partner.invalid")

    asyncio.run(send())


def _aiohttp_session(sidecar: str, ours_s: float, theirs: Any) -> None:  # noqa: ANN401 - the library's own argument
    async def send() -> None:
        auth = AiohttpAuth(sidecar, timeout_s=ours_s)
        async with aiohttp.ClientSession(middlewares=[auth], timeout=theirs) as session:
            await session.get("http://partner.invalid")

    asyncio.run(send())


def _aiohttp_request(sidecar: str, ours_s: float, theirs: Any) -> None:  # noqa: ANN401 - the library's own argument
    async def around(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        return await handler(request)

    async def send() -> None:
        auth = AiohttpAuth(sidecar, timeout_s=ours_s)
        limits = aiohttp.ClientTimeout(total=FOR_EVER_S)
        async with aiohttp.ClientSession(middlewares=[around, auth, around], timeout=limits) as session:
            await session.get("http://partner.invalid", timeout=theirs)

    asyncio.run(send())


NO_LIMIT = aiohttp.ClientTimeout(total=None)
HTTPX_LIMITS = [LIMIT_S, httpx.Timeout(None, read=LIMIT_S)]
AIOHTTP_LIMITS = [aiohttp.ClientTimeout(total=LIMIT_S), aiohttp.ClientTimeout(total=None, sock_read=LIMIT_S)]
CASES = [
    *((send, FOR_EVER_S, limit) for send in (_httpx, _httpx_async) for limit in HTTPX_LIMITS),
    *((send, LIMIT_S, None) for send in (_httpx, _httpx_async)),
    *((send, FOR_EVER_S, limit) for send in (_aiohttp_session, _aiohttp_request) for limit in AIOHTTP_LIMITS),
    *((send, LIMIT_S, NO_LIMIT) for send in (_aiohttp_session, _aiohttp_request)),
]


@pytest.fixture
def silent() -> Iterator[str]:
    """A stopped sidecar: the kernel accepts connections, and no response comes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize(("send", "ours_s", "theirs"), CASES)
def test_the_apps_limit_and_ours_both_end_the_wait_for_the_sidecar(
    send: Send, ours_s: float, theirs: object, silent: str
) -> None:
    """The test passes if the wait ends: the other limit is endless."""
    with pytest.raises((httpx.TimeoutException, TimeoutError)):
        send(silent, ours_s, theirs)


@pytest.mark.parametrize("send", [_httpx, _httpx_async, _aiohttp_session])
@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 503 No\r\n\r\n"])
def test_of_an_endless_response_only_a_part_is_read(send: Send, head: bytes) -> None:
    theirs = NO_LIMIT if send is _aiohttp_session else None
    with flooding(head, b'{"code": ') as flood, pytest.raises(TokenUnavailableError, match="not from a sidecar"):
        send(f"http://127.0.0.1:{flood.port}", FOR_EVER_S, theirs)


@pytest.mark.parametrize("send", [_httpx, _httpx_async, _aiohttp_session])
@pytest.mark.parametrize(
    "problem",
    [b'{"a":' * 9_000 + b"1" + b"}" * 9_000, b"\xff", b"[]", json.dumps({"code": ["timeout"]}).encode(), b"9" * 9_000],
    ids=["deep", "no text", "a list", "a code that is none", "a number"],
)
def test_a_malformed_problem_document_is_reported_as_such(send: Send, problem: bytes) -> None:
    head = f"HTTP/1.1 503 No\r\nContent-Length: {len(problem)}\r\n\r\n".encode()
    theirs = NO_LIMIT if send is _aiohttp_session else None
    with flooding(head + problem) as flood, pytest.raises(TokenUnavailableError, match="not from a sidecar"):
        send(f"http://127.0.0.1:{flood.port}", FOR_EVER_S, theirs)


@pytest.mark.parametrize("timeout_s", [0, -1, float("inf"), float("nan")])
@pytest.mark.parametrize("auth", [HttpxAuth, AiohttpAuth])
def test_an_invalid_limit_is_refused(auth: type[HttpxAuth | AiohttpAuth], timeout_s: float) -> None:
    with pytest.raises(ValueError, match="timeout_s must be"):
        auth(timeout_s=timeout_s)
