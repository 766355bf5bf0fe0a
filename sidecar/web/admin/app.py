"""The admin API: probes, metrics, status. Never a token, a credential or a header that carries one.

It has no guards: the kubelet and Prometheus connect to the pod's IP with their own headers, and nothing here is secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
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


class AdminApi:
    """The handler of the admin listener.

    `render_metrics` takes the request's `Accept` and returns (body, content type). `recent_events` returns the latest
    events, newest last; `wall` this machine's UTC; `failure` why the process must be restarted, None while it works;
    `is_draining` whether SIGTERM was received; `token_file_state` the state of a profile's token file; `has_waited`
    whether apps have waited long enough for the first token and should start without one; `stalled_files` an item for
    each file operation that hangs.
    """

    def __init__(
        self,
        vendors: Mapping[str, TokenProvider],
        *,
        render_metrics: Callable[[str], tuple[bytes, str]],
        recent_events: Callable[[], Sequence[Mapping[str, object]]],
        wall: Callable[[], UtcTime],
        failure: Callable[[], str | None],
        is_draining: Callable[[], bool],
        token_file_state: Callable[[str], TokenFileState],
        has_waited: Callable[[], bool],
        stalled_files: Callable[[], Sequence[StalledFile]],
    ) -> None:
        self._vendors = vendors
        self._render_metrics = render_metrics
        self._recent_events = recent_events
        self._wall = wall
        self._failure = failure
        self._is_draining = is_draining
        self._token_file_state = token_file_state
        self._has_waited = has_waited
        self._stalled_files = stalled_files
        self._routes: dict[str, Callable[[HttpRequest], Response]] = {
            "/livez": self._livez,
            "/readyz": self._readyz,
            **{f"/readyz/{name}": self._readyz for name in vendors},
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
        return bool(self._readiness()["ready"]) or self._has_waited()

    def _livez(self, _request: HttpRequest) -> Response:
        reason = self._failure()
        return json_response(200 if reason is None else 503, {"alive": reason is None, "reason": reason})

    def _readyz(self, request: HttpRequest) -> Response:
        document = self._readiness(_path(request).removeprefix("/readyz").removeprefix("/"))
        return json_response(200 if document["ready"] else 503, document)

    def _startupz(self, _request: HttpRequest) -> Response:
        return json_response(200 if self.started() else 503, self._readiness())

    def _readiness(self, profile: str = "") -> dict[str, object]:
        """Return the readiness of one profile, or of all without a name."""
        shown = [snapshot for snapshot in self.snapshots() if profile in ("", snapshot.profile)]
        return readiness(shown, draining=self._is_draining())

    def _metrics(self, request: HttpRequest) -> Response:
        body, content_type = self._render_metrics(",".join(request.headers.getall("Accept", [])))
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
            self._recent_events(),
            at=self._wall(),
            version=sidecar.__version__,
            draining=self._is_draining(),
            stalled_files=self._stalled_files(),
        )

    def snapshots(self) -> list[Snapshot]:
        """Return the snapshots of all profiles, as the probes use them."""
        return [self._snapshot(name, vendor) for name, vendor in self._vendors.items()]

    def _snapshot(self, name: str, vendor: TokenProvider) -> Snapshot:
        """Return the profile's snapshot: not ready while its token file lacks the token, which apps read only there."""
        snapshot, file = vendor.snapshot(), self._token_file_state(name)
        if not snapshot.ready or file == "written":
            return snapshot
        return replace(snapshot, ready=False, why_not="token-file", has_outcome=file == "failed")


def _path(request: HttpRequest) -> str:
    return path_and_query(request)[0]
