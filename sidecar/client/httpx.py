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

# The way to the sidecar is never TLS; without this one, each transport would load the system's certificates.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

_Limits: TypeAlias = dict[str, float]
_Reply: TypeAlias = tuple[int, Mapping[str, str], bytes]


class SidecarAuth(httpx.Auth):
    """Puts the sidecar's current token on each request, and after a 401 reports it and tries once more with the next.

    A 401 is handed on when there is no other token, or when the second try is refused, too. The request's body is read
    into memory, so that it can be sent twice. The sidecar is asked directly: the client's proxies, hooks, redirects and
    history see nothing of it. Use it for the partner alone.

    The token goes to the origin (scheme, host and port) of the request alone. Where the client follows a redirect to
    another one, the request goes there without it, and a 401 from there is neither reported nor tried again. Headers
    that are listed, copied or printed do not show the token.

    The sidecar is waited for as long as the request's own `timeout` allows, at each step, and at most `timeout_s`
    seconds. Requests raise `TokenUnavailableError` when the sidecar has no token, `httpx.TransportError` when none
    answers.
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
        """As `Questions` takes them. Raises `ValueError`."""
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
            # What was refused: after a redirect, not the request that was answered by it.
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
        """Return how long each step of a question may take: what the app allows its request, and ours at most."""
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
        """Each on a connection of its own: nothing is left open, and no thread or event loop is bound to another's."""
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
