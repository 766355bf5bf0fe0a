"""The handler of a gateway's listener: what may pass, and what the app gets back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace

import aiohttp

from sidecar.core.allow_list import AllowList
from sidecar.core.errors import AnswerError
from sidecar.core.ports import Clock, EventSink
from sidecar.core.process_events import RequestRefused
from sidecar.core.trace_context import trace_context
from sidecar.file_limit import cause_of
from sidecar.gateway.call import DISCONNECTED, GatewayCall
from sidecar.gateway.forwarder import Forwarder, PartnerAnswer
from sidecar.gateway.headers import for_app
from sidecar.gateway.sender import AppRequest, OutcomeUnknownError
from sidecar.partner.transport import TRANSPORT_ERRORS
from sidecar.web.api.guards import Guards
from sidecar.web.api.request_reading import BodyMemory, read_bytes
from sidecar.web.responses import RequestError, Response, error_result
from sidecar.web.server.request_handler import HttpRequest
from sidecar.web.server.streamed_response import BrokenBodyError, StreamedResponse

TOTAL_BODY_BYTES = 64 * 1024 * 1024
"""Of the large requests' bodies that one gateway holds at the same time."""
WHOLE_BYTES = 64 * 1024
"""A response of an announced length up to this is passed on once it is whole, so that a broken one becomes an error."""
PIECE_BYTES = 64 * 1024
"""Of a longer response: so much is written at once, and a slow app makes the sidecar hold some such pieces."""
_LINE_BREAK = re.compile(rb"[\r\n\0]")
MARKS: Mapping[str, str] = {"Sidecar-Answer": "sidecar", "Sidecar-Attempts": "0"}
"""Of the responses to requests that do not reach the handler."""


class Gateway:
    """Forwards the requests of one profile's apps. `audit` gets one event for each call, `sink` all events."""

    def __init__(
        self,
        *,
        profile: str,
        guards: Guards,
        allow: AllowList,
        forwarder: Forwarder,
        max_body_bytes: int,
        clock: Clock,
        sink: EventSink,
        audit: EventSink,
    ) -> None:
        self._profile = profile
        self._guards = guards
        self._allow = allow
        self._forwarder = forwarder
        self._memory = BodyMemory(max_body_bytes, TOTAL_BODY_BYTES)
        self._clock = clock
        self._sink = sink
        self._audit = audit

    async def __call__(self, request: HttpRequest) -> Response | StreamedResponse:
        call = GatewayCall(
            profile=self._profile,
            method=request.method,
            caller=request.connection.caller,
            trace=trace_context(request.headers.getall("traceparent", ())),
            clock=self._clock,
            sink=self._sink,
            audit=self._audit,
            has_left=request.connection.has_left,
        )
        try:
            self._check_caller(request)
            call.path = _printable(request.raw_path.partition("?")[0])
            self._check_allowed(request)
            return await self._passed_on(await self._forward(request, call), call, request)
        except (RequestError, AnswerError) as error:
            cause = error.cause if isinstance(error, OutcomeUnknownError) else ""
            call.end(error.code, cause=cause)
            response = error_result(error).response
            if response.status in (401, 403):
                self._sink.emit(RequestRefused(code=error.code, trace=call.trace))
            return replace(response, headers={**response.headers, **call.marks("sidecar")})
        except asyncio.CancelledError:
            if not call.attempts:
                call.end(DISCONNECTED, complete=False)
            raise
        except Exception:
            call.end("internal-error", complete=False)
            raise

    def _check_caller(self, request: HttpRequest) -> None:
        """Raise `RequestError` unless the caller may use the gateway."""
        # Before the guards, which accept an absolute form for the vending API.
        if not request.raw_path.startswith("/"):
            raise _not_allowed("Send path and query alone in the request line.")
        self._guards.check(request)

    def _check_allowed(self, request: HttpRequest) -> None:
        """Raise `RequestError` unless the request may pass."""
        if any("websocket" in protocol.lower() for protocol in request.headers.getall("Upgrade", ())):
            raise _not_allowed("Connections are not upgraded.")
        if not self._allow.allows(request.method, request.raw_path):
            raise _not_allowed(
                "Only methods and paths of SIDECAR_GATEWAY_ALLOW are forwarded, without dot segments, empty segments, "
                "';' or escaped slashes and dots; authentication never is."
            )

    async def _forward(self, request: HttpRequest, call: GatewayCall) -> PartnerAnswer:
        _check_framing(request)
        self._forwarder.check_room()
        headers = _readable(request)
        with ExitStack() as held:
            held.enter_context(self._memory.reserved(request))
            body = await read_bytes(request, self._memory.max_bytes)
            self._forwarder.check_room()
            sent = AppRequest(method=request.method, target=request.raw_path, headers=headers, body=body)
            return await self._forwarder.forward(sent, call, held.pop_all().close)

    async def _passed_on(self, answer: PartnerAnswer, call: GatewayCall, request: HttpRequest) -> StreamedResponse:
        """Raises `OutcomeUnknownError` for a response that cannot be passed on."""
        response = answer.response
        headers = [
            *for_app(response.raw_headers),
            *(
                (name.encode(), value.encode())
                for name, value in call.marks("partner", replaced=answer.replaced).items()
            ),
        ]
        reason = (response.reason or "").encode(errors="surrogateescape")
        if _has_line_break([reason, *(part for field in headers for part in field)]):
            response.close()
            raise OutcomeUnknownError("malformed headers")
        coding = ",".join(response.headers.getall("Transfer-Encoding", ())).strip().lower()
        if coding not in ("", "chunked", "identity"):
            # Hop-by-hop: the app would get the coded bytes without the word that says so.
            response.close()
            raise OutcomeUnknownError("transfer coding")
        length = None if coding else response.content_length
        passed = StreamedResponse(status=response.status, reason=reason, headers=headers, length=length)
        if request.method == "HEAD":
            response.release()
            call.end(_class(response), status=response.status)
            return passed
        if length is not None and length <= WHOLE_BYTES:
            return replace(passed, first=await _whole(answer, call))
        try:
            first = response.content.read_nowait(PIECE_BYTES)
        except TRANSPORT_ERRORS as error:
            response.close()
            raise OutcomeUnknownError(cause_of(error)) from None
        return replace(passed, first=first, rest=self._rest(answer, call))

    async def _rest(self, answer: PartnerAnswer, call: GatewayCall) -> AsyncGenerator[bytes, None]:
        """Yield the body piece by piece, then record the call. Raises `BrokenBodyError`."""
        response, complete = answer.response, False
        with self._forwarder.passing_on():
            try:
                while True:
                    async with asyncio.timeout_at(answer.until):
                        piece = await response.content.read(PIECE_BYTES)
                    if not piece:
                        break
                    yield piece
                complete = True
            except TRANSPORT_ERRORS:
                raise BrokenBodyError from None
            finally:
                # Whole, its connection is in the pool again.
                response.close()
                call.end(_class(response), status=response.status, complete=complete)


def _class(response: aiohttp.ClientResponse) -> str:
    return f"{response.status // 100}xx"


async def _whole(answer: PartnerAnswer, call: GatewayCall) -> bytes:
    """Read the body and record the call. Raises `OutcomeUnknownError` when the body does not come in whole."""
    response = answer.response
    try:
        async with asyncio.timeout_at(answer.until):
            body = await response.read()
    except TRANSPORT_ERRORS as error:
        response.close()
        raise OutcomeUnknownError(cause_of(error)) from None
    except asyncio.CancelledError:
        response.close()
        call.end(_class(response), status=response.status, complete=False)
        raise
    call.end(_class(response), status=response.status)
    return body


def _printable(path: str) -> str:
    return path if path.isprintable() and path.isascii() else "?"


def _check_framing(request: HttpRequest) -> None:
    """Raise `RequestError` for a transfer coding but `chunked`: it would be taken off without being decoded."""
    codings = request.headers.getall("Transfer-Encoding", ())
    if codings and [coding.lower() for coding in codings] != ["chunked"]:
        raise RequestError(
            "bad-request", "Send the body with a Content-Length, or as Transfer-Encoding: chunked alone."
        )


def _readable(request: HttpRequest) -> Sequence[tuple[str, str]]:
    """Return the headers. Raises `RequestError` for one that is not UTF-8: it could not be sent as it is."""
    headers = tuple(request.headers.items())
    try:
        for name, value in headers:
            f"{name}{value}".encode()
    except UnicodeEncodeError:
        raise RequestError("bad-request", "Send headers in ASCII or UTF-8.") from None
    return headers


def _has_line_break(texts: Sequence[bytes]) -> bool:
    return _LINE_BREAK.search(b" ".join(texts)) is not None


def _not_allowed(detail: str) -> RequestError:
    return RequestError("gateway-not-allowed", detail)
