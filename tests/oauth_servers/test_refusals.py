"""What a server refuses: credentials, scopes, and the errors of RFC 6749 section 5.2."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.oauth_servers.scene import open_scene, other_client
from tests.oauth_servers.servers import KINDS, MOCK_SERVER, Client, Kind
from tests.servers import RedisServer
from tests.support.replica import until

CHECKING = [kind for kind in KINDS if kind.checks]
REQUESTS = 20
IMPATIENT_S = "1"
"""A request that waits for longer also waits for the calls after the first back-offs."""


@pytest.mark.parametrize("auth", ["basic", "body"])
@pytest.mark.parametrize("kind", CHECKING, ids=str)
async def test_a_wrong_secret_costs_one_call_until_it_is_replaced(
    kind: Kind, auth: str, tmp_path: Path, own_redis_server: RedisServer
) -> None:
    """For `body` servers answer 400 or 401: the error code counts."""
    client = other_client(Client(), auth=auth)
    async with open_scene(kind, tmp_path, own_redis_server, client, POLL_S="0.3") as scene:
        scene.fleet.mount(client.id, "another-secret")
        replicas = await scene.fleet.start(3)
        for replica in replicas:
            refused = await scene.refusal(replica)
            assert (refused.code, refused.body["partner"]["errorCode"]) == ("credentials-rejected", "invalid_client")
        for _ in range(REQUESTS):
            assert (await replicas[0].ask()).code == "credentials-rejected"
        assert len(scene.front.calls) == 1
        scene.fleet.mount(client.id, client.secret)
        for replica in replicas:
            await until(replica.ready)
            await scene.token(replica)
        assert scene.front.statuses[1:] == [200]


@pytest.mark.parametrize("kind", CHECKING, ids=str)
async def test_a_scope_that_the_client_may_not_have_is_a_refused_request(
    kind: Kind, tmp_path: Path, own_redis_server: RedisServer
) -> None:
    async with open_scene(kind, tmp_path, own_redis_server, SCOPE="payments admin") as scene:
        replicas = await scene.fleet.start(3)
        for replica in replicas:
            refused = await scene.refusal(replica)
            assert (refused.code, refused.body["partner"]["errorCode"]) == ("partner-refused-request", "invalid_scope")
        assert scene.front.statuses == [400]


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (400, "invalid_client", "credentials-rejected"),
        (401, "unauthorized_client", "credentials-rejected"),
        (400, "unauthorized_client", "credentials-rejected"),
        (401, "invalid_request", "partner-refused-request"),
        (400, "invalid_grant", "partner-refused-request"),
        (400, "unsupported_grant_type", "partner-refused-request"),
        (400, "temporarily_unavailable", "partner-unavailable"),
        (400, "server_error", "partner-unavailable"),
        (403, "an_extension", "credentials-rejected"),
        (400, "an_extension", "partner-refused-request"),
        (429, "invalid_client", "partner-cooling-down"),
        (503, "invalid_client", "partner-unavailable"),
        (200, "invalid_client", "partner-unavailable"),
    ],
)
async def test_an_error_code_decides_what_apps_are_told(
    status: int, error: str, code: str, tmp_path: Path, own_redis_server: RedisServer
) -> None:
    async with open_scene(MOCK_SERVER, tmp_path, own_redis_server, REQUEST_TIMEOUT_S=IMPATIENT_S) as scene:
        scene.server.change(status=status, body={"error": error, "error_description": "as the hook says"})
        (replica,) = await scene.fleet.start(1)
        refused = await scene.refusal(replica)
        assert refused.code == code
        partner = refused.body["partner"]
        assert (partner["status"], partner["errorCode"], partner["errorMessage"]) == (status, error, "as the hook says")


@pytest.mark.parametrize(
    ("fields", "lifetime", "within_s"),
    [
        ({"expires_in": 600}, "declared", 600),
        ({"expires_in": "600"}, "declared", 600),
        ({"expires_in": 600.5, "token_type": "BEARER"}, "declared", 600),
        # Absent: what remains is the end that the JWT itself declares.
        ({"expires_in": None}, "declared", 900),
    ],
)
async def test_a_declared_lifetime_is_read_as_number_and_as_text(
    fields: dict[str, object], lifetime: str, within_s: int, tmp_path: Path, own_redis_server: RedisServer
) -> None:
    async with open_scene(MOCK_SERVER, tmp_path, own_redis_server) as scene:
        scene.server.change(fields=fields)
        (replica,) = await scene.fleet.ready(1)
        body = (await scene.token(replica)).body
        assert (body["lifetime"], 0 < body["expiresIn"] <= within_s) == (lifetime, True)


async def test_without_any_declared_end_the_lifetime_of_the_setting_is_assumed(
    tmp_path: Path, own_redis_server: RedisServer
) -> None:
    async with open_scene(MOCK_SERVER, tmp_path, own_redis_server, TOKEN_LIFETIME_S="450") as scene:
        scene.server.change(body={"access_token": "opaque-token", "token_type": "Bearer"})
        (replica,) = await scene.fleet.ready(1)
        body = (await replica.ask()).body
        assert (body["accessToken"], body["lifetime"]) == ("opaque-token", "assumed")
        assert 0 < body["expiresIn"] <= 450


@pytest.mark.parametrize(
    ("fields", "problem"),
    [({"expires_in": 0}, "ended"), ({"expires_in": "-5"}, "ended"), ({"token_type": "mac"}, "token-type")],
)
async def test_a_token_that_has_ended_or_is_of_another_type_is_not_vended(
    fields: dict[str, object], problem: str, tmp_path: Path, own_redis_server: RedisServer
) -> None:
    async with open_scene(MOCK_SERVER, tmp_path, own_redis_server, REQUEST_TIMEOUT_S=IMPATIENT_S) as scene:
        scene.server.change(fields=fields)
        (replica,) = await scene.fleet.start(1)
        refused = await scene.refusal(replica)
        assert refused.code == "partner-unavailable"
        assert problem in str(replica.events("partner_called")[0]), replica.events("partner_called")[0]
        scene.server.change()
        await until(replica.ready)
        await scene.token(replica)
