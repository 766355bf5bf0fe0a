"""An `httpx.Auth`: `httpx.Client(auth=SidecarAuth())`, or `AsyncClient`."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Generator, Mapping
from os import PathLike
from typing import Any, TypeAlias

import httpx

from sidecar.client.httpx_origin import OriginToken
from sidecar.client.questions import (
    DEFAULT_URL,
    MAX_ANSWER_BYTES,
    TIMEOUT_S,
    PartnerHeader,
    Question,
    Questions,
    check_reported,
    partner_header,
)

# Connections to the sidecar never use TLS. Without this context, each transport would load the system's certificates.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

_Limits: TypeAlias = dict[str, float]
_Reply: TypeAlias = tuple[int, Mapping[str, str], bytes]


class SidecarAuth(httpx.Auth):
    """Adds the sidecar's current token to each request. After a 401, reports the token and retries once with the next.

    A 401 is returned when there is no other token, or when the retry gets a 401, too. The request's body is read into
    memory, so that it can be sent twice. Calls to the sidecar are direct: they do not use the client's proxies, hooks,
    redirects and history. Use it only for the partner.

    The token is sent only to the origin (scheme, host and port) of the request. If the client follows a redirect to
    another origin, that request has no token, and a 401 to it is neither reported nor retried. Headers that are listed,
    copied or printed do not contain the token.

    Each step of a call to the sidecar may take as long as the request's own `timeout`, and at most `timeout_s` seconds.
    Requests raise `TokenUnavailableError` when the sidecar has no token, `httpx.TransportError` when no sidecar
    responds.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        profile: str = "",
        caller_token: str = "",
        caller_token_file: str | PathLike[str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Takes the arguments of `Questions`. Raises `ValueError`."""
        self._questions = Questions(url, profile, caller_token, caller_token_file, timeout_s)

    def __repr__(self) -> str:
        return f"SidecarAuth({self._questions!r})"

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.read()
        limits = self._limits(request)
        token = OriginToken(request, asynchronous=False)
        sent = token.put(request, self._header(limits))
        response = yield request
        if response.status_code != httpx.codes.UNAUTHORIZED or not token.is_at_origin(response):
            return
        status, _, body = self._ask(self._questions.rejected(sent), limits)
        check_reported(status, body)
        current = self._header(limits)
        if current != sent:
            # The request that got the 401: after a redirect this is not the first request.
            token.put(response.request, current)
            yield response.request

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        await request.aread()
        limits = self._limits(request)
        token = OriginToken(request, asynchronous=True)
        sent = token.put(request, await self._header_async(limits))
        response = yield request
        if response.status_code != httpx.codes.UNAUTHORIZED or not token.is_at_origin(response):
            return
        status, _, body = await self._ask_async(self._questions.rejected(sent), limits)
        check_reported(status, body)
        current = await self._header_async(limits)
        if current != sent:
            token.put(response.request, current)
            yield response.request

    def _limits(self, request: httpx.Request) -> _Limits:
        """Return the time limit of each step of a request to the sidecar: the app's own limit, at most `timeout_s`."""
        theirs: Mapping[str, Any] = request.extensions.get("timeout", {})
        ours_s = self._questions.timeout_s
        steps = ("connect", "read", "write", "pool")
        return {step: ours_s if (limit := theirs.get(step)) is None else min(limit, ours_s) for step in steps}

    def _header(self, limits: _Limits) -> PartnerHeader:
        return partner_header(*self._ask(self._questions.header(), limits))

    async def _header_async(self, limits: _Limits) -> PartnerHeader:
        return partner_header(*await self._ask_async(self._questions.header(), limits))

    def _ask(self, question: Question, limits: _Limits) -> _Reply:
        reply = self._ask_once(question, limits)
        again = self._questions.again(question, reply[0])
        return reply if again is None else self._ask_once(again, limits)

    async def _ask_async(self, question: Question, limits: _Limits) -> _Reply:
        reply = await self._ask_once_async(question, limits)
        again = self._questions.again(question, reply[0])
        return reply if again is None else await self._ask_once_async(again, limits)

    def _ask_once(self, question: Question, limits: _Limits) -> _Reply:
        """Send on a new connection: nothing stays open, and no connection is shared by threads or event loops."""
        body = b""
        with httpx.HTTPTransport(verify=_NO_TLS, uds=self._questions.socket_path) as way:
            answer = way.handle_request(_request(question, limits))
            for part in answer.iter_raw():
                body += part
                if len(body) > MAX_ANSWER_BYTES:
                    break
            return answer.status_code, answer.headers, body

    async def _ask_once_async(self, question: Question, limits: _Limits) -> _Reply:
        body = b""
        async with httpx.AsyncHTTPTransport(verify=_NO_TLS, uds=self._questions.socket_path) as way:
            answer = await way.handle_async_request(_request(question, limits))
            async for part in answer.aiter_raw():
                body += part
                if len(body) > MAX_ANSWER_BYTES:
                    break
            return answer.status_code, answer.headers, body


def _request(question: Question, limits: _Limits) -> httpx.Request:
    headers = {**question.headers, "Connection": "close"}
    extensions = {"timeout": limits}
    return httpx.Request(question.method, question.url, headers=headers, content=question.body, extensions=extensions)
