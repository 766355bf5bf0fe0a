"""The responses of both listeners: their bytes, the problem documents of RFC 9457, and the errors that become one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from http import HTTPStatus
from types import MappingProxyType
from typing import Literal

import msgspec
from aiohttp.web_request import BaseRequest

from sidecar.core.errors import AnswerError, ErrorCode, NoTokenError, PartnerDetail, SidecarError
from sidecar.core.model import Seconds, UtcTime
from sidecar.core.process_events import Outcome
from sidecar.vending.api import VendedToken

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
PROBLEM_JSON = "application/problem+json"

_ALWAYS = "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nServer: token-sidecar\r\n"
"""No caching, no content sniffing, no server version."""
_NO_LENGTH = (204, 304)
_EMPTY: Mapping[str, str] = MappingProxyType({})
_PHRASES: Mapping[int, str] = {status.value: status.phrase for status in HTTPStatus}


@dataclass(slots=True)
class Response:
    """`headers` are those that not every response has. `closes`: the connection ends with this response."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    closes: bool = False


def make_response(
    status: int, body: bytes = b"", *, content_type: str = JSON, headers: Mapping[str, str] = _EMPTY
) -> Response:
    """Return a response, with a content type where it has a body."""
    if body:
        return Response(status, body, {"Content-Type": content_type, **headers})
    return Response(status, body, headers)


def json_response(status: int, document: object, *, headers: Mapping[str, str] = _EMPTY) -> Response:
    return make_response(status, msgspec.json.encode(document), headers=headers)


def wire_bytes(
    response: Response, *, closes: bool, at: UtcTime | None = None, with_body: bool = True, minor_version: int = 1
) -> bytes:
    """Return the bytes of the response for an HTTP/1.0 or 1.1 client; `at` is its `Date`, None for no `Date`.

    Raises `ValueError` for a header with a line break.
    """
    status, body = response.status, response.body
    lines = [f"HTTP/1.{minor_version} {status} {_PHRASES[status]}\r\n{_ALWAYS}"]
    lines += [f"{name}: {value}\r\n" for name, value in response.headers.items()]
    if status not in _NO_LENGTH:
        lines.append(f"Content-Length: {len(body)}\r\n")
    if at is not None:
        lines.append(f"Date: {_http_date(int(at))}\r\n")
    if closes:
        lines.append("Connection: close\r\n")
    elif minor_version == 0:
        lines.append("Connection: keep-alive\r\n")
    head = "".join(lines)
    # `lines[0]` has four lines, not one: the status line and the three of `_ALWAYS`.
    if head.count("\n") != len(lines) + 3:
        raise ValueError("a header with a line break in it")
    return f"{head}\r\n".encode() + (body if with_body else b"")


@lru_cache(maxsize=4)
def _http_date(second: int) -> str:
    return format_datetime(datetime.fromtimestamp(second, UTC), usegmt=True)


PROBLEMS: Mapping[str, tuple[int, str]] = MappingProxyType(
    {
        "partner-cooling-down": (503, "Partner calls are rate limited (429)"),
        "call-budget-exhausted": (503, "The budget of partner calls is spent"),
        "partner-unavailable": (503, "The partner is unavailable or its response is invalid"),
        "credentials-rejected": (502, "The partner rejects the credentials"),
        "partner-refused-request": (502, "The partner refuses the request as configured"),
        "store-unavailable": (503, "The shared store is down"),
        "starting": (503, "There is no token yet"),
        "timeout": (503, "No token came in time"),
        "unknown-profile": (404, "No such profile"),
        "signing-not-configured": (404, "There is no signing key"),
        "gateway-not-allowed": (403, "The gateway does not forward this request"),
        "partner-unreachable": (502, "The partner could not be reached"),
        "partner-outcome-unknown": (504, "It is not known what the partner did"),
        "header-required": (403, "A required header is missing"),
        "forwarded-request": (403, "Forwarded requests are not served"),
        "host-not-allowed": (403, "The Host is not allowed"),
        "caller-not-allowed": (403, "The caller is not allowed"),
        "bad-request": (400, "The request is not valid"),
        "not-found": (404, "No such path"),
        "method-not-allowed": (405, "The path does not take this method"),
        "payload-too-large": (413, "The body is too large"),
        "overloaded": (503, "The sidecar has too much to do at once"),
        "internal-error": (500, "Internal error"),
    }
)
"""The HTTP status and the title of each error code."""


def whole_seconds(wait_s: Seconds) -> int:
    """Return a wait for `Retry-After`: rounded up, at least 1 (RFC 9110 section 10.2.3)."""
    return max(1, math.ceil(wait_s))


def problem(
    code: ErrorCode,
    detail: str,
    *,
    status: int | None = None,
    retry_after_s: Seconds | None = None,
    partner: PartnerDetail | None = None,
    headers: Mapping[str, str] = _EMPTY,
    also: Mapping[str, object] = _EMPTY,
    content_type: str = PROBLEM_JSON,
) -> Response:
    """Return a problem document for `code`; `detail` must be safe for any caller to see. `also` has further members."""
    usual_status, title = PROBLEMS[code]
    document: dict[str, object] = {
        "type": f"urn:token-sidecar:problem:{code}",
        "title": title,
        "status": status or usual_status,
        "detail": detail,
        "code": code,
        **also,
    }
    sent = dict(headers)
    if retry_after_s is not None:
        document["retryAfter"] = whole_seconds(retry_after_s)
        sent["Retry-After"] = str(whole_seconds(retry_after_s))
    if partner is not None:
        document["partner"] = partner_document(partner)
    body = msgspec.json.encode(document)
    return make_response(status or usual_status, body, content_type=content_type, headers=sent)


def partner_document(detail: PartnerDetail) -> dict[str, object]:
    """Return the details of the partner's error response, without empty ones."""
    said = {
        "status": detail.status,
        "errorCode": detail.error_code,
        "errorMessage": detail.error_message,
        "sessionId": detail.session_id,
    }
    return {name: value for name, value in said.items() if value}


ANY_METHOD: tuple[str, ...] = ()
"""A path's `methods` when it accepts every method. A body is allowed, and is not read."""


def check_method_and_body(request: BaseRequest, methods: tuple[str, ...]) -> None:
    """Raise `RequestError` unless the request uses one of `methods`, and has a body only with POST.

    A proxy or parser that measures the body differently would take an unread body for the next request.
    """
    if request.method not in methods:
        allowed = ", ".join(methods)
        raise RequestError("method-not-allowed", f"Use {allowed}.", headers={"Allow": allowed})
    if request.body_exists and request.method != "POST":
        raise RequestError("bad-request", f"Send no body with {request.method}.")


class RequestError(SidecarError):
    """The request is refused. `detail` says what to do and repeats nothing of the request.

    `status` is set only where it differs from the code's usual one, `retry_after_s` where a retry may succeed. `also`
    has further members of the document.
    """

    content_type = PROBLEM_JSON
    also: Mapping[str, object] = _EMPTY

    def __init__(
        self,
        code: ErrorCode,
        detail: str,
        *,
        status: int | None = None,
        headers: Mapping[str, str] = _EMPTY,
        retry_after_s: Seconds | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.status = status
        self.headers = headers
        self.retry_after_s = retry_after_s


def missing_default(profiles: Iterable[str]) -> str:
    """Return the error detail for a request without a profile name where no profile is called `default`."""
    return f"There is no profile 'default'. Name one of {', '.join(profiles)}."


@dataclass(slots=True, kw_only=True)
class EndpointResult:
    """A response, and the code for it that metrics and spans have.

    `profile` is set only by an endpoint that reads the profile from the body. `token_id` and `outcome` are for the
    audit: `outcome` is set where the response has a token, or a token was reported.
    """

    code: ErrorCode | Literal["ok", "not-modified"]
    response: Response
    profile: str = ""
    token_id: str = ""
    outcome: Outcome | None = None
    vended: VendedToken | None = None
    render: Callable[[VendedToken], Response] | None = None
    """Set where the response has a token: makes the same response with another token."""


def error_result(error: RequestError | AnswerError) -> EndpointResult:
    """Return the response for a request that is refused, or for which there is no token."""
    if isinstance(error, RequestError):
        response = problem(
            error.code,
            error.detail,
            status=error.status,
            retry_after_s=error.retry_after_s,
            headers=error.headers,
            also=error.also,
            content_type=error.content_type,
        )
    elif isinstance(error, NoTokenError):
        response = problem(error.code, str(error), retry_after_s=error.retry_after_s, partner=error.partner)
    else:
        response = problem(error.code, str(error))
    return EndpointResult(code=error.code, response=response)
