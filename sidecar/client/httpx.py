"""An `httpx.Auth`: `httpx.Client(auth=SidecarAuth())`, or `AsyncClient`."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Generator

import httpx

from sidecar.client.questions import (
    DEFAULT_URL,
    TIMEOUT_S,
    PartnerHeader,
    Question,
    Questions,
    check_reported,
    partner_header,
)

_TIMEOUT = {"timeout": httpx.Timeout(TIMEOUT_S).as_dict()}
# The way to the sidecar is never TLS; without this one, each transport would load the system's certificates.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class SidecarAuth(httpx.Auth):
    """Puts the sidecar's current token on each request, and after a 401 reports it and tries once more with the next.

    A 401 is handed on when there is no other token, or when the second try is refused, too. The request's body is read
    into memory, so that it can be sent twice. The sidecar is asked directly: the client's proxies, hooks, redirects and
    history see nothing of it. Use it for the partner alone, and do not follow redirects to others: httpx takes none but
    the standard headers off.

    Requests raise `TokenUnavailableError` when the sidecar has no token, `httpx.TransportError` when none answers.
    """

    def __init__(self, url: str = DEFAULT_URL, *, profile: str = "", caller_token: str = "") -> None:
        """As `Questions` takes them. Raises `ValueError`."""
        self._questions = Questions(url, profile, caller_token)

    def __repr__(self) -> str:
        return f"SidecarAuth({self._questions!r})"

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.read()
        sent = _carry(request, self._header())
        response = yield request
        if response.status_code != httpx.codes.UNAUTHORIZED:
            return
        answer = self._ask(self._questions.rejected(sent))
        check_reported(answer.status_code, answer.content)
        current = self._header()
        if current != sent:
            _carry(request, current)
            yield request

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        await request.aread()
        sent = _carry(request, await self._header_async())
        response = yield request
        if response.status_code != httpx.codes.UNAUTHORIZED:
            return
        answer = await self._ask_async(self._questions.rejected(sent))
        check_reported(answer.status_code, answer.content)
        current = await self._header_async()
        if current != sent:
            _carry(request, current)
            yield request

    def _header(self) -> PartnerHeader:
        answer = self._ask(self._questions.header())
        return partner_header(answer.status_code, answer.headers, answer.content)

    async def _header_async(self) -> PartnerHeader:
        answer = await self._ask_async(self._questions.header())
        return partner_header(answer.status_code, answer.headers, answer.content)

    def _ask(self, question: Question) -> httpx.Response:
        """Each on a connection of its own: nothing is left open, and no thread or event loop is bound to another's."""
        with httpx.HTTPTransport(verify=_NO_TLS, uds=self._questions.socket_path) as way:
            answer = way.handle_request(_request(question))
            answer.read()
            return answer

    async def _ask_async(self, question: Question) -> httpx.Response:
        async with httpx.AsyncHTTPTransport(verify=_NO_TLS, uds=self._questions.socket_path) as way:
            answer = await way.handle_async_request(_request(question))
            await answer.aread()
            return answer


def _carry(request: httpx.Request, header: PartnerHeader) -> PartnerHeader:
    request.headers[header.name] = header.value
    return header


def _request(question: Question) -> httpx.Request:
    headers = {**question.headers, "Connection": "close"}
    return httpx.Request(question.method, question.url, headers=headers, content=question.body, extensions=_TIMEOUT)
