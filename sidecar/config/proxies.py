"""Checks that partner calls can go through the proxy that the environment names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sidecar.config.findings import Findings
from sidecar.config.settings import ProfileSettings
from sidecar.core.proxies import proxy_of


def judge_proxies(profiles: Iterable[ProfileSettings], environ: Mapping[str, str], findings: Findings) -> None:
    """Report each proxy that calls cannot use, as without a scheme. Its value is not quoted: it may hold a password."""
    found = (proxy_of(one.profile.base_url, environ) for one in profiles)
    for variable in sorted({proxy.variable for proxy in found if proxy is not None and not proxy.is_usable}):
        findings.problem(
            f"{variable} must be http:// and a host, such as http://proxy.example:3128: partner calls go through it"
        )
