"""The errors for requests that are refused before a token is requested, and the check of method and body."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aiohttp.web_request import BaseRequest

from sidecar.core.errors import SidecarError
from sidecar.core.model import Seconds

ANY_METHOD: tuple[str, ...] = ()
"""A path's `methods` when it accepts every method. A body is allowed, and is not read."""


class RequestError(SidecarError):
    """A request is refused with a code of the contract; `detail` says what to do and repeats nothing of the request.

    `status` is set only where it differs from the code's usual one, `retry_after_s` where a retry may succeed.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        retry_after_s: Seconds | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.status = status
        self.headers = dict(headers or {})
        self.retry_after_s = retry_after_s


class GuardError(RequestError):
    """A guard refused the caller, independent of the path."""


def missing_default(profiles: Iterable[str]) -> str:
    """Return the error detail for a request without a profile name where no profile is called `default`."""
    return f"There is no profile 'default'. Name one of {', '.join(profiles)}."


def check_form(request: BaseRequest, methods: tuple[str, ...]) -> None:
    """Raise `RequestError` unless the request uses one of `methods`, and has a body only with POST.

    A proxy or parser that measures the body differently would take an unread body for the next request.
    """
    if request.method not in methods:
        allowed = ", ".join(methods)
        raise RequestError("method-not-allowed", f"Use {allowed}.", headers={"Allow": allowed})
    if request.body_exists and request.method != "POST":
        raise RequestError("bad-request", f"Send no body with {request.method}.")
