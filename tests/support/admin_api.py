"""The admin API over fakes, which are healthy by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sidecar.vending.api import TokenProvider
from sidecar.web.admin.app import AdminApi, AdminSources
from tests.support.fake_provider import FixedClock

_HEALTHY = AdminSources(
    render_metrics=lambda _accept: (b"", "text/plain"),
    recent_events=list,
    wall=FixedClock().wall,
    failure=lambda: None,
    is_draining=lambda: False,
    token_file_state=lambda _profile: "written",
    has_waited=lambda: False,
    stalled_files=tuple,
    signatures=lambda _profile: 0,
    gateway=lambda _profile: None,
)


def admin_api(providers: Mapping[str, TokenProvider], **changes: Any) -> AdminApi:  # noqa: ANN401 - of `AdminSources`
    return AdminApi(providers, replace(_HEALTHY, **changes))
