"""What the gateway of a profile forwards: the list of its preset or of its settings, and never authentication."""

from __future__ import annotations

import pytest

from sidecar.app.gateways import allow_list
from sidecar.core.errors import ConfigurationError
from sidecar.partner.presets import PRESETS
from tests.unit.config.test_load import loaded

SIGN_IN = [preset.authentication_path for preset in PRESETS.values()]


def allows(method: str, path: str, **variables: str) -> bool:
    (only,) = loaded(GATEWAY_LISTEN="127.0.0.1:8282", **variables).profiles
    return allow_list(only).allows(method, path)


@pytest.mark.parametrize(
    ("partner", "method", "path", "passes"),
    [
        ("pay1st", "GET", "/api/pay1st/payments", True),
        ("pay1st", "GET", "/api/pay1st/payments/methods?country=NG", True),
        ("pay1st", "POST", "/api/pay1st/payments/create", True),
        ("pay1st", "POST", "/api/pay1st/payments/fulfilments", True),
        ("pay1st", "POST", "/api/pay1st/transactions/refunds/create", False),
        ("pay1st", "POST", "/api/pay1st/payments/create/", False),
        ("pay1st", "HEAD", "/api/pay1st/payments", False),
        ("pay1st", "GET", "/api/distributors/products", False),
        ("flow1st", "GET", "/api/distributors/products", True),
        ("flow1st", "POST", "/api/distributors/orders", False),
        ("flow1st", "GET", "/api/pay1st/payments", False),
    ],
)
def test_the_list_of_a_preset(partner: str, method: str, path: str, passes: bool) -> None:
    assert allows(method, path, PARTNER=partner) is passes


def test_the_settings_replace_the_list() -> None:
    given = "POST /api/pay1st/transactions/refunds/create"
    assert allows("POST", "/api/pay1st/transactions/refunds/create", GATEWAY_ALLOW=given)
    assert not allows("POST", "/api/pay1st/payments/create", GATEWAY_ALLOW=given)


@pytest.mark.parametrize("partner", PRESETS)
@pytest.mark.parametrize("path", SIGN_IN)
def test_authentication_never_passes_whatever_the_list_is(partner: str, path: str) -> None:
    wide = "GET /*,POST /*,PUT /*"
    for method in ("GET", "POST", "PUT"):
        for spelling in (path, path.upper(), f"{path}/", f"{path}/anything", f"{path}?a=b"):
            assert not allows(method, spelling, PARTNER=partner, GATEWAY_ALLOW=wide)
    assert allows("PUT", "/anything", PARTNER=partner, GATEWAY_ALLOW=wide)


@pytest.mark.parametrize("path", SIGN_IN)
@pytest.mark.parametrize("ending", ["", "*", "/*", "/refresh"])
def test_a_rule_that_is_authentication_is_a_problem(path: str, ending: str) -> None:
    rule = f"POST {path}{ending}"
    with pytest.raises(ConfigurationError) as caught:
        allows("GET", "/", GATEWAY_ALLOW=f"GET /api/pay1st/payments,{rule}")
    assert caught.value.problems == (f"profile default: the gateway never forwards authentication: remove {rule}",)
