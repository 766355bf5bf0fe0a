"""Requests, down to single bytes: responses are HTTP and follow the contract, and only valid requests get a token.

An input is the data of a caller. A byte `\\xff` separates data that arrives at once from data that arrives later. A
`\\xfd` at its beginning sets a caller token.
"""

from __future__ import annotations

import base64
import binascii
import json
from urllib.parse import unquote_to_bytes

from sidecar.core.events import InternalFailure
from sidecar.core.model import Secret
from sidecar.credentials.caller_token import CallerTokens
from sidecar.web.api.guards import GuardSettings
from tests.fuzz.answers_read import EndpointResult, answers_read
from tests.fuzz.conversation import PARSERS, TOKEN, Conversation, converse
from tests.fuzz.findings import CANARY, hold, hold_secret, planted
from tests.fuzz.requests_read import Request, requests_read

WORDS = (
    b"GET /v1/token HTTP/1.1\r\n", b"GET /v1/authorize HTTP/1.1\r\n", b"POST /oauth/token HTTP/1.1\r\n", b"HEAD ",
    b"POST /v1/token/rejected HTTP/1.1\r\n", b"Host: localhost\r\n", b"Sidecar-Request: true\r\n",
    b"X-Forwarded-For: ", b"X_Real_IP: ", b"Forwarded: ", b"Via: ", b"Origin: ", b"Sec-Fetch-Site: cross-site\r\n",
    b"Content-Length: ", b"Transfer-Encoding: chunked\r\n", b"Authorization: Bearer ", b"Expect: 100-continue\r\n",
    b"Content-Type: application/json\r\n", b"Content-Type: application/x-www-form-urlencoded\r\n",
    b"Connection: close\r\n", b"Upgrade: h2c\r\n", b"?wait=1", b"If-None-Match: *\r\n", b"\r\n\r\n", b"\r\n ", b"\xfe",
    b"\xff",
)  # fmt: skip
CALLER_TOKEN = "7d10e8-opens-sesame"
CODES = {
    200: set[str](),
    202: set[str](),
    204: set[str](),
    304: set[str](),
    400: {"bad-request"},
    401: {"caller-not-allowed"},
    403: {"header-required", "forwarded-request", "host-not-allowed", "caller-not-allowed"},
    404: {"unknown-profile", "not-found"},
    405: {"method-not-allowed"},
    413: {"payload-too-large"},
    431: {"bad-request"},
}
"""The contract's codes by status, of those that a listener with a token can return."""
_USUAL, _LOCKED = GuardSettings(), GuardSettings(caller_tokens=lambda: CallerTokens([Secret(CALLER_TOKEN)]))
_LOCK, _SPLIT = b"\xfd", b"\xff"


def check(data: bytes) -> None:
    """Let every parser read the input, and compare the results with a separate reading."""
    locked = data.startswith(_LOCK)
    feeds = [feed for feed in planted(data.removeprefix(_LOCK)).split(_SPLIT) if feed]
    for parser in PARSERS:
        said = converse(feeds, _LOCKED if locked else _USUAL, parser)
        _hold_silence(said, b"".join(feeds))
        answers, requests = list(answers_read(said.answered)), list(requests_read(b"".join(feeds)))
        for at, answer in enumerate(answers):
            _hold_form(answer)
            if TOKEN.encode() in answer.raw:
                hold(true=at < len(requests), what="a token was vended for something unreadable")
                _hold_earned(requests[at], locked=locked)


def _hold_silence(said: Conversation, sent: bytes) -> None:
    failures = [event for event in said.events if isinstance(event, InternalFailure)]
    hold(true=not failures, what=f"a bug: {failures!r}")
    hold(true=not said.logged, what=f"a library or the event loop complained: {said.logged!r}")
    shown = (said.answered.decode("latin-1"), repr(said.events))
    hold_secret(CANARY, *shown)
    hold_secret(CALLER_TOKEN, *shown)
    hold(true=TOKEN not in repr(said.events), what="the token is in an event")
    hold(true=bool(sent) or not said.answered, what="an answer to nothing")


def _hold_form(answer: EndpointResult) -> None:
    hold(true=answer.status in CODES, what=f"the status {answer.status} is none of the contract's")
    hold(true=answer.values("cache-control") == ["no-store"], what=f"{answer.status} may be stored")
    if CODES[answer.status] and answer.body:
        code = json.loads(answer.body)["code"]
        hold(true=code in CODES[answer.status], what=f"{answer.status} with the code {code}")


def _hold_earned(request: Request, *, locked: bool) -> None:
    hold(true=request.is_direct, what=f"a token was vended for {request!r}")
    if locked and request.target.partition("?")[0] == "/oauth/token":
        hold(true=_has_the_caller_token(request), what=f"a token was vended for an unauthorized request: {request!r}")
        return
    hold(true=request.has_header, what=f"a token was vended without the header: {request!r}")
    if locked:
        shown = [value.partition(" ") for value in request.values("authorization")]
        known = [(scheme.lower(), text.strip()) for scheme, _, text in shown] == [("bearer", CALLER_TOKEN)]
        hold(true=known, what=f"a token was vended for an unauthorized request: {request!r}")


def _has_the_caller_token(request: Request) -> bool:
    """Whether the caller token is somewhere in a client's authentication, whatever its coding."""
    seen = [unquote_to_bytes(request.body.replace(b"+", b" "))]
    for value in request.values("authorization"):
        try:
            seen.append(unquote_to_bytes(base64.b64decode(value.partition(" ")[2].strip())))
        except (binascii.Error, ValueError):
            continue
    return any(CALLER_TOKEN.encode() in text for text in seen)
