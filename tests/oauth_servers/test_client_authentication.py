"""How clients authenticate, at servers that check it: encoded credentials, and assertions signed with a mounted key."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.oauth_servers.scene import open_scene
from tests.oauth_servers.servers import AUTHLIB, KINDS, OAUTH2_SERVER, OIDC_PROVIDER, Client, Kind
from tests.servers import RedisServer
from tests.support.private_keys import ec_key, pem, public_jwk, rsa_key
from tests.support.replica import until

PEMS = {"RS256": pem(rsa_key()), "ES256": pem(ec_key())}
ODD_ID, ODD_SECRET = "id: 100% of a+b", "~*'s: 5%/+&=?#[secret] 100%25"
CHECKING = [kind for kind in KINDS if kind.checks]


def signed(algorithm: str) -> Client:
    return Client(auth="private_key_jwt", jwks=[public_jwk(PEMS[algorithm])])


@pytest.mark.parametrize(
    ("kind", "client"),
    [
        # It takes visible ASCII and spaces alone, as RFC 6749 appendix A.1 has it.
        (OIDC_PROVIDER, Client(ODD_ID, ODD_SECRET)),
        (AUTHLIB, Client(f"{ODD_ID} für", f"{ODD_SECRET} ü 日本")),
        *((kind, Client(ODD_ID, ODD_SECRET, "body")) for kind in CHECKING),
        (AUTHLIB, Client(f"{ODD_ID} für", f"{ODD_SECRET} ü 日本", "body")),
        # It decodes nothing, so only what needs no encoding is the same to it.
        (OAUTH2_SERVER, Client("id-1_.~", "Secret-1_.~")),
    ],
)
async def test_a_server_reads_the_credentials_that_were_mounted(
    kind: Kind, client: Client, tmp_path: Path, own_redis_server: RedisServer
) -> None:
    async with open_scene(kind, tmp_path, own_redis_server, client) as scene:
        (replica,) = await scene.fleet.ready(1)
        await scene.token(replica)
        assert len(scene.accepted) == 1


async def test_for_a_server_that_decodes_nothing_basic_fails_and_the_body_does_not(
    tmp_path: Path, own_redis_server: RedisServer
) -> None:
    """The reason for the advice of docs/oauth2.md."""
    client = Client("id:1", "secret %1")
    async with open_scene(OAUTH2_SERVER, tmp_path, own_redis_server, client) as scene:
        (replica,) = await scene.fleet.start(1)
        assert (await scene.refusal(replica)).code == "credentials-rejected"
        (by_body,) = await scene.fleet.start(1, CLIENT_AUTH="body", STORE="memory://")
        await until(by_body.ready)
        await scene.token(by_body)


@pytest.mark.parametrize("kind", [OIDC_PROVIDER, AUTHLIB], ids=str)
@pytest.mark.parametrize("algorithm", PEMS)
async def test_a_mounted_key_authenticates_the_client(
    kind: Kind, algorithm: str, tmp_path: Path, own_redis_server: RedisServer
) -> None:
    """Each call has an assertion of its own: both servers refuse one that they have seen."""
    client = signed(algorithm)
    async with open_scene(kind, tmp_path, own_redis_server, client) as scene:
        scene.fleet.mount(client.id, "unused", **{"private-key": PEMS[algorithm]})
        replicas = await scene.fleet.ready(3)
        first = await scene.token(replicas[0])
        assert await replicas[0].report(first.token_id) == "refreshing"
        await scene.calls(2)
        await until(lambda: scene.fleet.agree())
        for replica in replicas:
            await scene.token(replica)
        assert scene.front.statuses == [200, 200]
        assert len(scene.accepted) == 2


@pytest.mark.parametrize("audience", ["issuer", "token endpoint"])
async def test_an_assertion_is_for_the_server_that_the_setting_names(
    audience: str, tmp_path: Path, own_redis_server: RedisServer
) -> None:
    client = signed("ES256")
    async with open_scene(OIDC_PROVIDER, tmp_path, own_redis_server, client) as scene:
        scene.fleet.mount(client.id, "unused", **{"private-key": PEMS["ES256"]})
        names = {"issuer": scene.server.issuer, "token endpoint": f"{scene.server.issuer}/token"}
        (replica,) = await scene.fleet.ready(1, ASSERTION_AUDIENCE=names[audience])
        await scene.token(replica)


async def test_an_assertion_for_another_server_is_refused(tmp_path: Path, own_redis_server: RedisServer) -> None:
    client = signed("ES256")
    async with open_scene(OIDC_PROVIDER, tmp_path, own_redis_server, client) as scene:
        scene.fleet.mount(client.id, "unused", **{"private-key": PEMS["ES256"]})
        (replica,) = await scene.fleet.start(1, ASSERTION_AUDIENCE="https://server.example")
        assert (await scene.refusal(replica)).code == "credentials-rejected"
        assert len(scene.front.calls) == 1


@pytest.mark.parametrize("kind", [OIDC_PROVIDER, AUTHLIB], ids=str)
async def test_a_key_that_the_server_does_not_know_is_replaced_while_the_sidecars_run(
    kind: Kind, tmp_path: Path, own_redis_server: RedisServer
) -> None:
    client = signed("ES256")
    async with open_scene(kind, tmp_path, own_redis_server, client, POLL_S="0.3") as scene:
        scene.fleet.mount(client.id, "unused", **{"private-key": pem(ec_key())})
        replicas = await scene.fleet.start(3)
        for replica in replicas:
            assert (await scene.refusal(replica)).code == "credentials-rejected"
        assert len(scene.front.calls) == 1
        scene.fleet.mount(client.id, "unused", **{"private-key": PEMS["ES256"]})
        for replica in replicas:
            await until(replica.ready)
            await scene.token(replica)
        assert scene.front.statuses[1:] == [200]
