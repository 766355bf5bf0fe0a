"""The supported partner APIs, as data: another API of this scheme needs one more entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """Where and how one partner API issues tokens. Source: its public reference pages.

    `refresh_path` is None when no refresh is documented. `token_header` carries `Bearer <token>` to every other
    endpoint; `probe_path` (GET) is one of them.
    """

    name: str
    base_url: str
    grant_path: str
    refresh_path: str | None
    content_type: str
    token_header: str = "AccessToken"  # noqa: S105 - the name of a header, not a secret
    probe_path: str


_ALL = (
    Preset(
        name="pay1st",
        base_url="https://api-gateway.carry1st.com",
        grant_path="/api/pay1st/auth/token",
        refresh_path="/api/pay1st/auth/refresh",
        content_type="application/vnd.carry1st.payments.partnerauthentication+json",
        probe_path="/api/pay1st/payments/methods",
    ),
    Preset(
        name="flow1st",
        base_url="https://api-gateway.carry1st.com",
        grant_path="/api/distributors/auth/token",
        refresh_path=None,
        content_type="application/vnd.carry1st.products.distributorauthentication+json",
        probe_path="/api/distributors/products",
    ),
)

PRESETS: Mapping[str, Preset] = MappingProxyType({preset.name: preset for preset in _ALL})
"""By name, as `SIDECAR_PARTNER` gives it."""
