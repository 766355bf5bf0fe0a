"""The lifetimes that a partner may declare in the future, valid and invalid."""

from __future__ import annotations

import base64
import json

import pytest

from sidecar.core.errors import FailureKind, PartnerError
from sidecar.partner.lifetime import declared_lifetime_s
from sidecar.partner.response import PartnerResponse, read_response
from tests.support.partners import PAY1ST

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z


def jwt(claims: object) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'RS256'})}.{part(claims)}.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("document", "lifetime_s"),
    [
        ({}, None),
        ({"expiresIn": 600}, 600),
        ({"expires_in": 600.5}, 600.5),
        ({"expires_in": "600"}, 600),
        ({"expiresAt": NOW + 600}, 600),
        ({"expires_at": (NOW + 600) * 1000}, 600),
        ({"expiresAt": str(int(NOW) + 600)}, 600),
        ({"expires_at": "2026-01-01T00:10:00Z"}, 600),
        ({"expiresAt": "2026-01-01T01:10:00+01:00"}, 600),
        ({"expiresAt": "2026-01-01T00:10:00"}, 600),
        ({"expiresIn": 600, "expiresAt": NOW + 300}, 300),
        ({"expiresIn": 10 * 365 * 86_400}, 10 * 365 * 86_400),
    ],
)
def test_the_shortest_declared_lifetime_is_read(document: dict[str, object], lifetime_s: float | None) -> None:
    assert declared_lifetime_s(document, "opaque", NOW) == lifetime_s


@pytest.mark.parametrize("name", ["expiresIn", "expires_in", "expiresAt", "expires_at"])
@pytest.mark.parametrize(
    "invalid",
    [True, False, None, "", "soon", "1e3", "--5", "9" * 400, float("nan"), float("inf"), [600], {}, 10**400],
)
def test_an_invalid_value_counts_as_not_declared(name: str, invalid: object) -> None:
    assert declared_lifetime_s({name: invalid}, "opaque", NOW) is None


@pytest.mark.parametrize(
    "document", [{"expiresIn": 10 * 365 * 86_400 + 1}, {"expiresAt": "9999-12-31"}, {"expires_in": "1" * 15}]
)
def test_an_end_beyond_ten_years_counts_as_not_declared(document: dict[str, object]) -> None:
    assert declared_lifetime_s(document, "opaque", NOW) is None


def test_an_invalid_field_does_not_hide_a_valid_one() -> None:
    assert declared_lifetime_s({"expiresIn": True, "expires_in": "x", "expiresAt": NOW + 60}, "opaque", NOW) == 60


ENDED: list[tuple[dict[str, object], str]] = [
    ({"expiresIn": 0}, "opaque"),
    ({"expires_in": "0"}, "opaque"),
    ({"expiresIn": -1}, "opaque"),
    ({"expires_in": "-5"}, "opaque"),
    ({"expiresIn": float("-inf")}, "opaque"),
    ({"expiresAt": NOW}, "opaque"),
    ({"expiresAt": 0}, "opaque"),
    ({"expires_at": (NOW - 1) * 1000}, "opaque"),
    ({"expiresAt": "2025-12-31T23:59:59Z"}, "opaque"),
    ({"expiresIn": 600, "expiresAt": NOW - 1}, "opaque"),
]


@pytest.mark.parametrize(
    ("document", "access"),
    [*ENDED, ({}, jwt({"exp": NOW - 1})), ({}, jwt({"exp": NOW - 3000, "iat": NOW - 3600}))],
)
def test_a_response_with_an_ended_token_is_malformed(document: dict[str, object], access: str) -> None:
    body = json.dumps({"role": "R", "accessToken": access, **document}).encode()
    with pytest.raises(PartnerError) as raised:
        read_response(PartnerResponse(200, {}, body), PAY1ST, "R", NOW)
    assert raised.value.kind is FailureKind.MALFORMED
    assert access not in repr(raised.value.detail)


@pytest.mark.parametrize("left_s", [40, 6, 1])
def test_a_token_in_its_last_seconds_is_valid(left_s: int) -> None:
    body = json.dumps({"role": "R", "accessToken": "a", "expiresIn": left_s}).encode()
    assert read_response(PartnerResponse(200, {}, body), PAY1ST, "R", NOW).lifetime_s == left_s


@pytest.mark.parametrize(
    ("claims", "lifetime_s"),
    [
        ({"exp": NOW + 600}, 600),
        ({"exp": NOW + 600, "iat": NOW}, 600),
        ({"exp": NOW + 600, "iat": NOW - 300}, 600),
        ({"exp": NOW + 600, "iat": NOW + 700}, 600),
        ({"exp": "x"}, None),
        ({"iat": NOW}, None),
        ([NOW], None),
    ],
)
def test_the_claims_of_a_jwt_are_read_unverified(claims: object, lifetime_s: float | None) -> None:
    assert declared_lifetime_s({}, jwt(claims), NOW) == lifetime_s


@pytest.mark.parametrize("opaque", ["a.b.c", "..", "a.!!!.c", "a." + "W" * 16_000 + ".c", "x" * 684])
def test_an_opaque_token_declares_nothing(opaque: str) -> None:
    assert declared_lifetime_s({}, opaque, NOW) is None


def test_a_declared_end_counts_from_the_date_of_the_response() -> None:
    body = json.dumps({"role": "R", "accessToken": "a", "expiresAt": "2026-01-01T00:10:00Z"}).encode()
    response = PartnerResponse(200, {"Date": "Thu, 01 Jan 2026 00:00:00 GMT"}, body)
    assert read_response(response, PAY1ST, "R", NOW + 480).lifetime_s == 600
