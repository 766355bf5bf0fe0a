"""The token requests that settings lead to, as a person may see them, to compare them with a partner's page."""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.config.schema import Settings
from sidecar.partner.token_request import TokenRequest, shown_requests

_KINDS = ("token request", "refresh request")


def shown_token_requests(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield what each request is, and its first line, headers and body, one a line, with a mask for each secret."""
    for one in settings.profiles:
        for kind, request in zip(_KINDS, shown_requests(one.table, one.profile.role), strict=False):
            yield f"{kind} of profile {one.profile.name}", _lines(one.profile.base_url, request)


def _lines(base_url: str, request: TokenRequest) -> str:
    headers = {"Content-Type": request.content_type, **request.headers}
    shown = [f"{name}: {value}" for name, value in headers.items()]
    return "\n".join([f"POST {base_url}{request.path}", *shown, request.body.decode() or "(no body)"])
