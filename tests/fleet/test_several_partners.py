"""Two sidecars have profiles of three partners: a shipped one, an OAuth 2.0 server and one of the operator's tables."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import aiohttp
import httpx
import pytest

from sidecar.client.aiohttp import SidecarAuth as AiohttpAuth
from sidecar.client.httpx import SidecarAuth as HttpxAuth
from sidecar.sandbox import Fault
from tests.servers import RedisServer
from tests.support.processes import Fleet
from tests.support.replica import CALLER, Replica, until
from tests.support.sandbox_payments import CREATE, PAYMENT_TYPE, payment
from tests.support.status_samples import words
from tests.support.three_partners import PARTNERS, ThreePartners, readiness, three_partners

LIFETIME_S = 8
REFRESH_AT = 0.25
HEADERS = {
    "payments": ("AccessToken", "Bearer"),
    "ledger": ("Authorization", "Bearer"),
    "cards": ("X-Acme-Session", "Session"),
}
"""The name and the scheme of each partner's header."""
ROLES = {"payments": "as API_USER "}
"""The other partners take no role."""
ROTATIONS = 3


@pytest.fixture
async def partners(tmp_path: Path, redis_server: RedisServer) -> AsyncIterator[ThreePartners]:
    async with three_partners(tmp_path, redis_server) as scene:
        yield scene


async def test_each_profile_has_the_token_and_the_header_of_its_own_partner(partners: ThreePartners) -> None:
    replicas = await partners.start(2)
    ids = {profile: set[str]() for profile in PARTNERS}
    for replica, profile in itertools.product(replicas * 5, PARTNERS):
        ids[profile].add((await replica.ask(f"/v1/token/{profile}")).token_id)
    assert [len(found) for found in ids.values()] == [1, 1, 1], "both replicas vend the same token"
    assert len(set.union(*ids.values())) == 3
    assert [len(partners.calls(profile)) for profile in PARTNERS] == [1, 1, 1]
    lifetimes = {profile: (await replicas[0].ask(f"/v1/token/{profile}")).body["lifetime"] for profile in PARTNERS}
    roles = {profile: (await replicas[0].ask(f"/v1/token/{profile}")).body["role"] for profile in PARTNERS}
    assert roles == {"payments": "API_USER", "ledger": "", "cards": ""}
    assert lifetimes == {"payments": "assumed", "ledger": "declared", "cards": "declared"}

    for profile, (name, scheme) in HEADERS.items():
        headers = (await replicas[0].ask(f"/v1/authorize/{profile}")).headers
        assert headers[name].startswith(f"{scheme} ")
        assert not {other for other, _ in HEADERS.values()} & headers.keys() - {name}
        for partner in PARTNERS:
            async with partners.fleet.session.get(partners.url(partner), headers={name: headers[name]}) as response:
                assert response.status == (200 if partner == profile else 401)
    assert (await replicas[0].ask()).code == "unknown-profile", "there is no profile `default`"


async def test_only_the_partner_with_a_recipe_is_signed_for(partners: ThreePartners) -> None:
    """Every profile has a signing key, and two of the partners have no recipe for it."""
    (replica,) = await partners.start(1)
    body = json.dumps(payment("order")).encode()
    signed = await replica.post("/v1/sign/payments", data=body)
    async with partners.fleet.session.post(
        partners.sandboxes["payments"].url + CREATE,
        data=body,
        headers=signed.body["headers"] | {"Content-Type": PAYMENT_TYPE},
    ) as response:
        assert response.status == 201
    for profile in ("ledger", "cards"):
        refused = await replica.post(f"/v1/sign/{profile}", data=body)
        assert (refused.status, refused.code) == (404, "signing-not-configured")
    shown = (await replica.admin("/status.json")).body["profiles"]
    assert {name: profile["signingKey"] for name, profile in shown.items()} == {
        "payments": True, "ledger": False, "cards": False,
    }  # fmt: skip
    assert [await replica.metric("signatures_total", profile=profile) for profile in PARTNERS] == [1, 0, 0]


async def test_each_partner_is_called_once_in_a_lifetime(tmp_path: Path, redis_server: RedisServer) -> None:
    """Two replicas refresh three accounts, while clients ask both for every token."""
    times = {"REFRESH_AT": str(REFRESH_AT), "POLL_S": "0.3", "CALL_BUDGET": "1000/60", "PARTNER_TIMEOUT_S": "4"}
    async with three_partners(tmp_path, redis_server, lifetime_s=LIFETIME_S) as scene:
        replicas = await scene.start(2, **times)

        async def rotated() -> bool:
            asked = (replica.ask(f"/v1/token/{name}") for replica in replicas for name in PARTNERS)
            assert {answer.status for answer in await asyncio.gather(*asked)} == {200}
            return min(scene.issued(name) for name in PARTNERS) > ROTATIONS

        await until(rotated)
        for profile in PARTNERS:
            assert {call.status for call in scene.calls(profile)} == {200}
            assert min(gaps_s(scene.fleet, profile)) > LIFETIME_S * REFRESH_AT / 2


def gaps_s(fleet: Fleet, profile: str) -> list[float]:
    """Return the times between the beginnings of one partner's calls, as the replicas logged them."""
    ended = itertools.chain.from_iterable(replica.events("partner_called") for replica in fleet.started)
    begun = sorted(
        datetime.fromisoformat(call["timestamp"]).timestamp() - call["duration_s"]
        for call in ended
        if call["profile"] == profile
    )
    return [later - earlier for earlier, later in itertools.pairwise(begun)]


@pytest.mark.parametrize(("status", "code"), [(429, "partner-cooling-down"), (401, "credentials-rejected")])
@pytest.mark.parametrize("troubled", PARTNERS)
async def test_trouble_with_one_partner_leaves_the_others_alone(
    partners: ThreePartners, troubled: str, status: int, code: str
) -> None:
    partners.sandboxes[troubled].state.faults.add(Fault(fault="status", status=status, retry_after="600", count=0))
    first, second = await partners.fleet.start(2, POLL_S="0.3")
    others = [profile for profile in PARTNERS if profile != troubled]

    async def settled() -> bool:
        seen = [await readiness(replica) for replica in (first, second)]
        return seen == [{profile: 503 if profile == troubled else 200 for profile in PARTNERS}] * 2

    await until(settled)
    await until(first.ready)
    assert (await first.ask(f"/v1/token/{troubled}")).code == code
    for profile in others:
        assert (await second.ask(f"/v1/token/{profile}")).status == 200
        assert [call.status for call in partners.calls(profile)] == [200]
    assert {call.status for call in partners.calls(troubled)} == {status}
    body = (await first.admin("/readyz")).body
    assert {name: profile["ready"] for name, profile in body["profiles"].items()} == {
        profile: profile != troubled for profile in PARTNERS
    }
    for profile in PARTNERS:
        is_troubled = profile == troubled
        assert await first.metric("credentials_valid", profile=profile) == (not (is_troubled and status == 401))
        cooldown = await first.metric("cooldown_until_timestamp_seconds", profile=profile)
        assert (cooldown > 0) == (is_troubled and status == 429)


async def test_a_report_for_one_profile_replaces_its_token_alone(partners: ThreePartners) -> None:
    (replica,) = await partners.start(1)
    before = {profile: (await replica.ask(f"/v1/token/{profile}")).token_id for profile in PARTNERS}
    verdict = (await replica.post("/v1/token/cards/rejected", json={"tokenId": before["cards"]})).body["verdict"]
    assert verdict == "refreshing"
    other = (await replica.post("/v1/token/ledger/rejected", json={"tokenId": before["cards"]})).body["verdict"]
    assert other == "already-replaced", "it never was a token of this profile"
    await until(lambda: partners.issued("cards") == 2)
    after = {profile: (await replica.ask(f"/v1/token/{profile}")).token_id for profile in PARTNERS}
    assert [before[profile] == after[profile] for profile in PARTNERS] == [True, True, False]
    assert [await replica.metric("rejected_reports_total", profile=profile) for profile in PARTNERS] == [0, 1, 1]


@pytest.mark.parametrize("profile", PARTNERS)
async def test_apps_name_the_profile_and_the_client_finds_the_header(partners: ThreePartners, profile: str) -> None:
    """Each client also reports a token that the partner revoked, and repeats the request with the next one."""
    (replica,) = await partners.start(1)
    async with httpx.AsyncClient(auth=HttpxAuth(replica.url, profile=profile), trust_env=False) as client:
        assert (await client.get(partners.url(profile))).status_code == 200
        partners.sandboxes[profile].state.accounts[PARTNERS[profile]].revoke()
        assert (await client.get(partners.url(profile))).status_code == 200
    async with aiohttp.ClientSession(middlewares=[AiohttpAuth(replica.url, profile=profile)]) as session:
        partners.sandboxes[profile].state.accounts[PARTNERS[profile]].revoke()
        async with session.get(partners.url(profile)) as response:
            assert response.status == 200
    assert [partners.issued(name) for name in PARTNERS] == [3 if name == profile else 1 for name in PARTNERS]


async def test_metrics_status_and_page_show_each_profile_with_its_partner(partners: ThreePartners) -> None:
    (replica,) = await partners.start(1)
    document = (await replica.admin("/status.json")).body["profiles"]
    assert {name: profile["partner"] for name, profile in document.items()} == PARTNERS
    assert {name: profile["baseUrl"] for name, profile in document.items()} == {
        name: sandbox.url for name, sandbox in partners.sandboxes.items()
    }
    assert len({profile["profileId"] for profile in document.values()}) == 3
    page = words((await replica.admin("/status")).text)
    for profile, partner in PARTNERS.items():
        assert await replica.metric("partner_requests_total", profile=profile, operation="grant", outcome="ok") == 1
        assert f"{partner} {ROLES.get(profile, '')}at {partners.sandboxes[profile].url}" in page


async def command(replica: Replica, *argv: str) -> tuple[int, str]:
    """Run `token-sidecar ARGV` for this replica. Returns exit code and stdout."""
    url = replica.page_url.removesuffix("/status") if argv[0] == "status" else replica.url
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "sidecar", *argv, "--url", url], capture_output=True, text=True
    )
    return done.returncode, done.stdout


async def test_the_commands_show_each_profile(partners: ThreePartners) -> None:
    (replica,) = await partners.start(1)
    code, out = await command(replica, "status")
    assert code == 0
    for profile, partner in PARTNERS.items():
        section = out.split(f"\n{profile}: ", 1)[1].splitlines()
        role = ["as", "API_USER"] if profile == "payments" else []
        assert section[1].split()[1:] == [partner, partners.sandboxes[profile].url, *role]
        held = (await replica.ask(f"/v1/token/{profile}", CALLER | {"Accept": "text/plain"})).text.strip()
        assert await command(replica, "token", "--profile", profile) == (0, held + "\n")
        header = "{}: {} {}\n".format(*HEADERS[profile], held)
        assert await command(replica, "token", "--profile", profile, "--format", "header") == (0, header)
