"""The admin API: probes, metrics, status. Never a token, a credential or a header that carries one.

It has no guards: the kubelet and Prometheus connect to the pod's IP with their own headers, and nothing here is secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import sidecar
from sidecar.core.model import UtcTime
from sidecar.core.process_events import StalledFile
from sidecar.vending.api import Snapshot, TokenProvider
from sidecar.web.admin.status_document import readiness, status
from sidecar.web.api.request_reading import path_and_query
from sidecar.web.responses import (
    RequestError,
    Response,
    check_method_and_body,
    error_result,
    json_response,
    make_response,
    problem,
)
from sidecar.web.server.request_handler import HttpRequest

_OF_A_PROFILE = re.compile(r"/readyz/[^/]+")
TokenFileState: TypeAlias = Literal["written", "awaited", "failed"]
"""The state of a profile's token file: up to date, not written since the start, or the last write or removal failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminSources:
    """Functions that the admin API reads the process by, besides the profiles."""

    render_metrics: Callable[[str], tuple[bytes, str]]
    """Takes the request's `Accept`; returns (body, content type)."""
    recent_events: Callable[[], Sequence[Mapping[str, object]]]
    """The latest events, newest last."""
    wall: Callable[[], UtcTime]
    failure: Callable[[], str | None]
    """Why the process must be restarted; None while it works."""
    is_draining: Callable[[], bool]
    """Whether SIGTERM was received."""
    token_file_state: Callable[[str], TokenFileState]
    """Takes the name of a profile."""
    has_waited: Callable[[], bool]
    """Whether apps have waited long enough for the first token, and should start without one."""
    stalled_files: Callable[[], Sequence[StalledFile]]
    """An item for each file operation that hangs."""
    signatures: Callable[[str], int]
    """Takes the name of a profile; returns how many requests were signed since the start."""
    gateway: Callable[[str], Mapping[str, object] | None]
    """Takes the name of a profile; returns the state of its gateway as in `/status.json`, None without a gateway."""


class AdminApi:
    """The handler of the admin listener."""

    def __init__(self, providers: Mapping[str, TokenProvider], sources: AdminSources) -> None:
        self._providers = providers
        self._sources = sources
        self._routes: dict[str, Callable[[HttpRequest], Response]] = {
            "/livez": self._livez,
            "/readyz": self._readyz,
            **{f"/readyz/{name}": self._readyz for name in providers},
            "/startupz": self._startupz,
            "/metrics": self._metrics,
            "/status.json": self._status,
            "/status": self._page,
            "/status.css": self._page_file,
            "/status.js": self._page_file,
        }

    async def __call__(self, request: HttpRequest) -> Response:
        path = _path(request)
        route = self._routes.get(path)
        if route is None and _OF_A_PROFILE.fullmatch(path) is None:
            return problem("not-found", f"The paths are {', '.join(self._routes)}.")
        try:
            check_method_and_body(request, ("GET", "HEAD"))
        except RequestError as error:
            return error_result(error).response
        return problem("unknown-profile", "No profile has this name.") if route is None else route(request)

    def started(self) -> bool:
        """Whether `/startupz` returns 200: the sidecar is ready, or apps have waited long enough for a token."""
        return bool(self._readiness()["ready"]) or self._sources.has_waited()

    def _livez(self, _request: HttpRequest) -> Response:
        reason = self._sources.failure()
        return json_response(200 if reason is None else 503, {"alive": reason is None, "reason": reason})

    def _readyz(self, request: HttpRequest) -> Response:
        document = self._readiness(_path(request).removeprefix("/readyz").removeprefix("/"))
        return json_response(200 if document["ready"] else 503, document)

    def _startupz(self, _request: HttpRequest) -> Response:
        return json_response(200 if self.started() else 503, self._readiness())

    def _readiness(self, profile: str = "") -> dict[str, object]:
        """Return the readiness of one profile, or of all without a name."""
        shown = [snapshot for snapshot in self.snapshots() if profile in ("", snapshot.profile)]
        return readiness(shown, draining=self._sources.is_draining())

    def _metrics(self, request: HttpRequest) -> Response:
        body, content_type = self._sources.render_metrics(",".join(request.headers.getall("Accept", [])))
        return make_response(200, body, content_type=content_type)

    def _status(self, _request: HttpRequest) -> Response:
        return json_response(200, self._document())

    # The page is rarely requested: its code and files are loaded at the first request, not in every pod.

    def _page(self, _request: HttpRequest) -> Response:
        from sidecar.web.admin.status_page.page import page_response

        return page_response(self._document())

    def _page_file(self, request: HttpRequest) -> Response:
        from sidecar.web.admin.status_page.page import file_response

        return file_response(_path(request))

    def _document(self) -> dict[str, object]:
        return status(
            self.snapshots(),
            self._sources.recent_events(),
            at=self._sources.wall(),
            version=sidecar.__version__,
            draining=self._sources.is_draining(),
            stalled_files=self._sources.stalled_files(),
            signatures=self._sources.signatures,
            gateway=self._sources.gateway,
        )

    def snapshots(self) -> list[Snapshot]:
        """Return the snapshots of all profiles, as the probes use them."""
        return [self._snapshot(name, provider) for name, provider in self._providers.items()]

    def _snapshot(self, name: str, provider: TokenProvider) -> Snapshot:
        """Return the profile's snapshot: not ready while its token file lacks the token, which apps read only there."""
        snapshot, file = provider.snapshot(), self._sources.token_file_state(name)
        if not snapshot.ready or file == "written":
            return snapshot
        return replace(snapshot, ready=False, why_not="token-file", has_outcome=file == "failed")


def _path(request: HttpRequest) -> str:
    return path_and_query(request)[0]
