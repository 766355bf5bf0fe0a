"""The admin API over fakes: healthy, unless a test says otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sidecar.core.model import UtcTime
from sidecar.core.process_events import StalledFile
from sidecar.vending.api import TokenProvider
from sidecar.web.admin.app import AdminApi, TokenFileState
from tests.support.vendor import FixedClock


def admin_api(
    vendors: Mapping[str, TokenProvider],
    *,
    render_metrics: Callable[[str], tuple[bytes, str]] = lambda _: (b"", "text/plain"),
    recent_events: Callable[[], Sequence[Mapping[str, object]]] = list,
    wall: Callable[[], UtcTime] = lambda: FixedClock().wall(),
    failure: Callable[[], str | None] = lambda: None,
    is_draining: Callable[[], bool] = lambda: False,
    token_file_state: Callable[[str], TokenFileState] = lambda _: "written",
    has_waited: Callable[[], bool] = lambda: False,
    stalled_files: Callable[[], Sequence[StalledFile]] = tuple,
) -> AdminApi:
    return AdminApi(
        vendors,
        render_metrics=render_metrics,
        recent_events=recent_events,
        wall=wall,
        failure=failure,
        is_draining=is_draining,
        token_file_state=token_file_state,
        has_waited=has_waited,
        stalled_files=stalled_files,
    )
