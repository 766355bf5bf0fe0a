"""A client middleware for aiohttp: `aiohttp.ClientSession(middlewares=[SidecarAuth()])`."""

from __future__ import annotations

import aiohttp
from aiohttp.payload import Payload

from sidecar.client.questions import (
    DEFAULT_URL,
    TIMEOUT_S,
    PartnerHeader,
    Question,
    Questions,
    check_reported,
    partner_header,
)

_UNAUTHORIZED = 401
_TIMEOUT = aiohttp.ClientTimeout(total=TIMEOUT_S)


class SidecarAuth:
    """Puts the sidecar's current token on each request, and after a 401 reports it and tries once more with the next.

    A 401 is handed on when there is no other token, when the second try is refused, too, or when the body was a stream
    that cannot be sent again. The sidecar is asked directly: the session's proxies, cookies and headers stay outside.
    Use it for the partner alone, with `allow_redirects=False` where the partner might redirect to others: a middleware
    sees each hop as a request, and this one puts the token on it.

    Requests raise `TokenUnavailableError` when the sidecar has no token, `aiohttp.ClientConnectionError` when none
    answers.
    """

    def __init__(self, url: str = DEFAULT_URL, *, profile: str = "", caller_token: str = "") -> None:
        """As `Questions` takes them. Raises `ValueError`."""
        self._questions = Questions(url, profile, caller_token)

    def __repr__(self) -> str:
        return f"SidecarAuth({self._questions!r})"

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        sent = await self._header()
        request.headers[sent.name] = sent.value
        response = await handler(request)
        if response.status != _UNAUTHORIZED:
            return response
        try:
            current = await self._header_instead_of(sent)
        except BaseException:
            # Also when cancelled: nobody gets this response, so nobody else would give its connection back.
            response.close()
            raise
        if current == sent or not _can_be_sent_again(request):
            return response
        response.release()
        request.headers[current.name] = current.value
        return await handler(request)

    async def _header(self) -> PartnerHeader:
        return partner_header(*await self._ask(self._questions.header()))

    async def _header_instead_of(self, refused: PartnerHeader) -> PartnerHeader:
        status, _, body = await self._ask(self._questions.rejected(refused))
        check_reported(status, body)
        return await self._header()

    async def _ask(self, question: Question) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body. A session of its own, for the app's may have proxies and default headers."""
        path = self._questions.socket_path
        connector = aiohttp.UnixConnector(path) if path else aiohttp.TCPConnector()
        async with (
            aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT) as session,
            session.request(
                question.method, question.url, headers=question.headers, data=question.body, allow_redirects=False
            ) as answer,
        ):
            return answer.status, dict(answer.headers), await answer.read()


def _can_be_sent_again(request: aiohttp.ClientRequest) -> bool:
    return not (isinstance(request.body, Payload) and request.body.consumed)
