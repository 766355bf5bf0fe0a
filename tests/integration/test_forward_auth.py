"""Requests forwarded by a proxy are served if forward auth is on, with the caller token or over a unix socket."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.core.model import Address, Secret
from sidecar.credentials.caller_token import CallerTokens
from sidecar.web.api.guards import GuardSettings
from tests.support.vending_service import VendingService, vending_service
from tests.support.wire import Reply, ask

CALLER_TOKEN = "caller-token-canary"
PROXIES = GuardSettings(caller_tokens=lambda: CallerTokens([Secret(CALLER_TOKEN)]), forward_auth=True)
OFF = replace(PROXIES, forward_auth=False)
SOCKET_ALONE = GuardSettings(forward_auth=True)
OWN = {"Sidecar-Token": CALLER_TOKEN}
BEARER = {"Authorization": f"Bearer {CALLER_TOKEN}"}
FORWARDED = {
    "Host": "shop.example.com",
    "X-Forwarded-For": "203.0.113.7",
    "X-Forwarded-Host": "shop.example.com",
    "Via": "1.1 Caddy",
    "Origin": "https://shop.example.com",
    "Sec-Fetch-Site": "cross-site",
}
"""The headers that Caddy and Traefik forward for a page in a browser."""
APPENDED = "/v1/authorize/default/api/pay?x=1&x=2&min_ttl=none"
PATHS = [
    "/v1/authorize",
    "/v1/authorize?min_ttl=none&x=1",
    "/v1/authorize/default",
    APPENDED,
    "/v1/authorize/default/",
    "/v1/authorize/default//%2e%2e/v1/token",
]
GRANT = b"grant_type=client_credentials"


async def authorize(service: VendingService, headers: Mapping[str, str], path: str = "/v1/authorize") -> Reply:
    reply = await ask(service.address, path, method="POST", headers={**FORWARDED, **headers}, bare=True)
    assert (reply.header("AccessToken") is not None) == (reply.status == 200)
    return reply


async def grant(service: VendingService, headers: Mapping[str, str], form: bytes = GRANT) -> Reply:
    fields = {**FORWARDED, "Content-Type": "application/x-www-form-urlencoded", **headers}
    return await ask(service.address, "/oauth/token", method="POST", headers=fields, body=form, bare=True)


def at_socket(folder: Path) -> Address:
    return Address(path=str(folder / "s"))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("shown", [OWN, BEARER], ids=["own header", "bearer"])
async def test_a_proxy_with_the_caller_token_is_served(path: str, shown: dict[str, str]) -> None:
    async with vending_service(PROXIES) as service:
        assert (await authorize(service, shown, path)).status == 200
        assert service.served == [("default", "authorize", "ok")]


async def test_the_query_of_a_proxys_client_is_not_read_and_that_of_an_app_is() -> None:
    async with vending_service(PROXIES) as service:
        path = "/v1/authorize?min_ttl=1000"
        assert (await authorize(service, OWN, path)).status == 200
        assert service.provider.min_ttls_s == []
        direct = {"Host": "localhost", "Sidecar-Request": "true", **BEARER}
        assert (await ask(service.address, path, headers=direct, bare=True)).status == 200
        assert service.provider.min_ttls_s == [1000]


async def test_the_proxys_own_header_counts_before_the_clients_authorization() -> None:
    async with vending_service(PROXIES) as service:
        client = {"Authorization": "Bearer of-the-client"}
        assert (await authorize(service, {**client, **OWN})).status == 200
        assert (await authorize(service, {**BEARER, "Sidecar-Token": "wrong"})).code == "caller-not-allowed"


@pytest.mark.parametrize(
    ("shown", "refusal"),
    [
        ({}, (403, "host-not-allowed")),
        ({"Sidecar-Request": "true"}, (403, "host-not-allowed")),
        ({"Authorization": "Bearer wrong"}, (403, "host-not-allowed")),
        ({"Sidecar-Token": "wrong"}, (401, "caller-not-allowed")),
        ({"Sidecar-Token": ""}, (401, "caller-not-allowed")),
    ],
)
async def test_what_is_forwarded_by_nobody_known_is_refused(shown: dict[str, str], refusal: tuple[int, str]) -> None:
    async with vending_service(PROXIES) as service:
        reply = await authorize(service, shown)
        assert (reply.status, reply.code) == refusal
        assert CALLER_TOKEN.encode() not in reply.raw


@pytest.mark.parametrize("shown", [OWN, BEARER, {**OWN, **BEARER, "Sidecar-Request": "true"}])
async def test_nothing_forwarded_is_served_unless_it_is_switched_on(shown: dict[str, str]) -> None:
    async with vending_service(OFF) as service:
        assert (await authorize(service, shown)).code == "host-not-allowed"
        direct = {"Host": "localhost", "Sidecar-Request": "true", **BEARER}
        assert (await ask(service.address, APPENDED, headers=direct, bare=True)).code == "not-found"


@pytest.mark.parametrize("path", ["/v1/token", "/v1/token/rejected", "/openapi.json", "/v1/authorize/nobody"])
async def test_no_other_path_is_served_to_a_proxy(path: str) -> None:
    async with vending_service(PROXIES) as service:
        reply = await ask(service.address, path, headers={**FORWARDED, **OWN, **BEARER}, bare=True)
        assert reply.status in (403, 404)


async def test_on_a_unix_socket_a_proxy_needs_no_caller_token_where_none_is_set(tmp_path: Path) -> None:
    async with vending_service(SOCKET_ALONE, at_socket(tmp_path)) as service:
        assert [(await authorize(service, {}, path)).status for path in PATHS] == [200] * len(PATHS)
        assert (await grant(service, {})).json()["access_token"] == "access-token-one"


async def test_on_a_unix_socket_a_caller_token_that_is_set_is_needed(tmp_path: Path) -> None:
    async with vending_service(PROXIES, at_socket(tmp_path)) as service:
        assert (await authorize(service, {})).code == "caller-not-allowed"
        assert (await authorize(service, OWN)).status == 200
        assert (await grant(service, {})).status == 401


async def test_on_a_unix_socket_the_user_ids_count_for_proxies_too(tmp_path: Path) -> None:
    settings = replace(SOCKET_ALONE, allowed_uids=frozenset())
    async with vending_service(settings, at_socket(tmp_path)) as service:
        assert (await authorize(service, {})).code == "caller-not-allowed"
        assert (await grant(service, {})).code == "caller-not-allowed"


async def test_without_a_caller_token_nothing_forwarded_is_served_on_tcp() -> None:
    async with vending_service(SOCKET_ALONE) as service:
        assert (await authorize(service, {})).code == "host-not-allowed"
        assert (await authorize(service, {"Sidecar-Token": "x"})).code == "caller-not-allowed"
        assert (await grant(service, {"Sidecar-Token": "x"})).code == "host-not-allowed"


@pytest.mark.parametrize(
    ("shown", "form"),
    [
        ({"Authorization": "Basic " + base64.b64encode(f"other:{CALLER_TOKEN}".encode()).decode()}, GRANT),
        ({}, GRANT + f"&client_id=other&client_secret={CALLER_TOKEN}".encode()),
        (OWN, GRANT + b"&client_id=other"),
        (BEARER, GRANT + b"&client_id=other"),
    ],
    ids=["basic", "form", "own header", "bearer"],
)
async def test_an_oauth_client_behind_a_proxy_is_served(shown: dict[str, str], form: bytes) -> None:
    async with vending_service(PROXIES) as service:
        reply = await grant(service, shown, form)
        assert (reply.status, service.served) == (200, [("other", "oauth", "ok")])


async def test_an_oauth_client_with_a_wrong_secret_is_refused_behind_a_proxy_too() -> None:
    async with vending_service(PROXIES) as service:
        for shown in ({}, {"Sidecar-Token": "wrong"}, {"Authorization": "Bearer wrong"}):
            assert (await grant(service, shown)).status == 401
    async with vending_service(OFF) as service:
        assert (await grant(service, OWN)).code == "host-not-allowed"
