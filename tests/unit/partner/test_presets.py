"""The presets have the values of the partner's reference pages."""

from __future__ import annotations

import pytest

from sidecar.core.partner_table import PartnerTable, SignProbe
from sidecar.core.signing import SigningRecipe
from sidecar.partner.presets import PRESETS

SIGNING = SigningRecipe(
    parts=("timestamp", "body"), timestamp_header="X-TIMESTAMP", signature_header="X-SIGNATURE", encoding="hex"
)


def test_pay1st_is_as_documented() -> None:
    content_type = "application/vnd.carry1st.payments.partnerauthentication+json"
    assert PRESETS["pay1st"] == PartnerTable(
        name="pay1st",
        base_url="https://api-gateway.carry1st.com",
        token_path="/api/pay1st/auth/token",
        role_field="role",
        content_type=content_type,
        access_field="accessToken",
        refresh_path="/api/pay1st/auth/refresh",
        refresh_field="refreshToken",
        refresh_headers={"Accept": content_type},
        refresh_auth=False,
        token_header="AccessToken",
        probe_path="/api/pay1st/payments/methods",
        sign=SIGNING,
        sign_test=PRESETS["pay1st"].sign_test,
        sign_probe=SignProbe(
            path="/api/pay1st/payments/create", content_type="application/vnd.carry1st.payments.payment+json"
        ),
        authentication_path="/api/pay1st/auth",
        gateway_allow=(
            "GET /api/pay1st/*",
            "POST /api/pay1st/payments/create",
            "POST /api/pay1st/payments/fulfilments",
        ),
    )


def test_flow1st_is_as_documented_and_has_no_refresh() -> None:
    assert PRESETS["flow1st"] == PartnerTable(
        name="flow1st",
        base_url="https://api-gateway.carry1st.com",
        token_path="/api/distributors/auth/token",
        role_field="role",
        content_type="application/vnd.carry1st.products.distributorauthentication+json",
        access_field="accessToken",
        token_header="AccessToken",
        probe_path="/api/distributors/products",
        sign=SIGNING,
        authentication_path="/api/distributors/auth",
        gateway_allow=("GET /api/distributors/*",),
    )


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        PRESETS["mine"] = PRESETS["pay1st"]  # type: ignore[index]
