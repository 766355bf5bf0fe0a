"""How the web room says no to a request before any token is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aiohttp.web_request import BaseRequest

from sidecar.core.errors import SidecarError
from sidecar.core.model import Seconds

ANY_METHOD: tuple[str, ...] = ()
"""In place of a path's methods: every method is taken, with or without a body, which is not read."""


class RequestError(SidecarError):
    """The request is refused with a code of the contract; `detail` says what to do and repeats nothing of the request.

    `status` is set only where it differs from the code's own, `retry_after_s` where it is worth another try.
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
    """A guard refused the caller, whatever it asked for."""


def missing_default(profiles: Iterable[str]) -> str:
    """What to tell who named no profile where none is called `default`."""
    return f"There is no profile 'default'. Name one of {', '.join(profiles)}."


def check_form(request: BaseRequest, methods: tuple[str, ...]) -> None:
    """Raise `RequestError` unless the request uses one of `methods`, and has a body only where that is a POST.

    A body nobody reads would be taken for the next request by whoever counts bytes in another way.
    """
    if request.method not in methods:
        allowed = ", ".join(methods)
        raise RequestError("method-not-allowed", f"Use {allowed}.", headers={"Allow": allowed})
    if request.body_exists and request.method != "POST":
        raise RequestError("bad-request", f"Send no body with {request.method}.")
