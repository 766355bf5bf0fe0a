"""The presets have the values of the partner's reference pages."""

from __future__ import annotations

import dataclasses

import pytest

from sidecar.partner.presets import PRESETS

SIGNING = {
    "parts": ("timestamp", "body"),
    "timestamp_header": "X-TIMESTAMP",
    "signature_header": "X-SIGNATURE",
    "encoding": "hex",
}


def test_pay1st_is_as_documented() -> None:
    assert dataclasses.asdict(PRESETS["pay1st"]) == {
        "name": "pay1st",
        "base_url": "https://api-gateway.carry1st.com",
        "grant_path": "/api/pay1st/auth/token",
        "refresh_path": "/api/pay1st/auth/refresh",
        "content_type": "application/vnd.carry1st.payments.partnerauthentication+json",
        "token_header": "AccessToken",
        "probe_path": "/api/pay1st/payments/methods",
        "signing": SIGNING,
        "published_signature": dataclasses.asdict(PRESETS["pay1st"].published_signature),
        "authentication_path": "/api/pay1st/auth",
        "gateway_allow": (
            "GET /api/pay1st/*",
            "POST /api/pay1st/payments/create",
            "POST /api/pay1st/payments/fulfilments",
        ),
    }


def test_flow1st_is_as_documented_and_has_no_refresh() -> None:
    assert dataclasses.asdict(PRESETS["flow1st"]) == {
        "name": "flow1st",
        "base_url": "https://api-gateway.carry1st.com",
        "grant_path": "/api/distributors/auth/token",
        "refresh_path": None,
        "content_type": "application/vnd.carry1st.products.distributorauthentication+json",
        "token_header": "AccessToken",
        "probe_path": "/api/distributors/products",
        "signing": SIGNING,
        "published_signature": dataclasses.asdict(PRESETS["pay1st"].published_signature),
        "authentication_path": "/api/distributors/auth",
        "gateway_allow": ("GET /api/distributors/*",),
    }


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        PRESETS["mine"] = PRESETS["pay1st"]  # type: ignore[index]
