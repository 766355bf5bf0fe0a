"""The table from the contract's error codes to HTTP, and the problem documents of RFC 9457."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from sidecar.core.errors import AnswerError, NoTokenError
from sidecar.core.failures import PartnerDetail
from sidecar.core.model import Seconds
from sidecar.web.refusals import RequestError
from sidecar.web.responses import EndpointResult, Response, make_response

PROBLEM_JSON = "application/problem+json"

INTERNAL_ERROR = "internal-error"
"""A bug in the sidecar. Not in the contract's table: callers cannot plan for it."""

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
        "header-required": (403, "A required header is missing"),
        "forwarded-request": (403, "Forwarded requests are not served"),
        "host-not-allowed": (403, "The Host is not allowed"),
        "caller-not-allowed": (403, "The caller is not allowed"),
        "bad-request": (400, "The request is not valid"),
        "not-found": (404, "No such path"),
        "method-not-allowed": (405, "The path does not take this method"),
        "payload-too-large": (413, "The body is too large"),
        "overloaded": (503, "The sidecar has too many connections"),
        INTERNAL_ERROR: (500, "Internal error"),
    }
)


def whole_seconds(wait_s: Seconds) -> int:
    """Return a wait for `Retry-After`: rounded up, at least 1 (RFC 9110 section 10.2.3)."""
    return max(1, math.ceil(wait_s))


def problem(
    code: str,
    detail: str,
    *,
    status: int | None = None,
    retry_after_s: Seconds | None = None,
    partner: PartnerDetail | None = None,
    headers: Mapping[str, str] | None = None,
    also: Mapping[str, str] | None = None,
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
        **(also or {}),
    }
    sent = dict(headers or {})
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


def refused(error: RequestError | AnswerError) -> EndpointResult:
    """Return the response for a request that is refused, or for which there is no token."""
    if isinstance(error, RequestError):
        response = problem(
            error.code, error.detail, status=error.status, headers=error.headers, retry_after_s=error.retry_after_s
        )
        return EndpointResult(error.code, response)
    if isinstance(error, NoTokenError):
        response = problem(error.code, str(error), retry_after_s=error.retry_after_s, partner=error.partner)
        return EndpointResult(error.code, response)
    return EndpointResult(error.code, problem(error.code, str(error)))
