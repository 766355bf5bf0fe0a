"""The objects of a running sidecar: none of ours shows a secret, and each secret is held in one text."""

from __future__ import annotations

import base64
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sidecar.core.model import Secret
from tests.servers import RedisServer
from tests.support.processes import CONFIG, Fleet, open_fleet
from tests.support.replica import Replica, until

KEY, SECRET, SIGNING = "kanary-api-key-a0b1", "kanary-api-secret-c2d3", "kanary-signing-key-e4f5"
SEAL = b"kanary-seal-key-of-32-bytes-0617"
CALLER_TOKEN, PASSWORD = "kanary-caller-token-2839", "kanary-store-password-4a5b"
CALLER = {"Sidecar-Request": "true", "Authorization": f"Bearer {CALLER_TOKEN}", "Connection": "close"}
"""An open connection holds its last request with the caller token."""
INSIDE = ("-m", "tests.support.inside")
TOP = Path(__file__).resolve().parents[2]


async def used(fleet: Fleet, **settings: str) -> tuple[Replica, str, str]:
    """A sidecar that vended two tokens in every way and received a report."""
    (fleet.folder / "seal-key").write_bytes(base64.b64encode(SEAL))
    (fleet.folder / "caller-token").write_text(CALLER_TOKEN)
    fleet.settings |= {
        "LOOK_FOR": str(fleet.folder / "sought"),
        "PYTHONPATH": str(TOP),
        "SIDECAR_CALLER_TOKEN_FILE": str(fleet.folder / "caller-token"),
        "SIDECAR_LOG_LEVEL": "debug",
    }
    replica = fleet.launch(INSIDE, AUDIT="all", POLL_S="0.1", CALL_BUDGET="100/60", **settings)
    await replica.listening()
    first = await replica.ask(headers=CALLER)
    assert (await replica.ask("/v1/authorize", headers=CALLER)).status == 200
    await replica.post("/v1/token/rejected", headers=CALLER, json={"accessToken": first.body["accessToken"]})
    second = await replica.ask(headers=CALLER)
    for body in (b"{}", bytes(100_000)):
        assert (await replica.post("/v1/sign", headers=CALLER, data=body)).status in (200, 404)
    assert second.token_id != first.token_id
    return replica, first.body["accessToken"], second.body["accessToken"]


async def no_client_is_connected(replica: Replica) -> bool:
    return await replica.metric("connections", listener="vending") == 0


async def judged(fleet: Fleet, replica: Replica, *secrets: str) -> dict[str, Any]:
    """Have the sidecar inspect its own objects, and return the result."""
    # A connection that is being closed still holds its last request with the caller token.
    await until(lambda: no_client_is_connected(replica))
    (fleet.folder / "sought").write_text("\n".join(secret.encode().hex() for secret in secrets))
    replica.signal(signal.SIGUSR1)
    await until(lambda: bool(replica.events("judged")))
    return replica.events("judged")[0]


@pytest.fixture
def redis_with_password(own_redis_server: RedisServer) -> RedisServer:
    own_redis_server.command("CONFIG", "SET", "requirepass", PASSWORD)
    return own_redis_server


async def test_secrets_given_by_file_are_one_text_each(tmp_path: Path, redis_with_password: RedisServer) -> None:
    """A token is held twice: itself, and in the prepared response."""
    config = replace(CONFIG, api_key=Secret(KEY), api_secret=Secret(SECRET))
    async with open_fleet(tmp_path, redis_with_password, config) as fleet:
        fleet.mount(KEY, SECRET, **{"signing-key": SIGNING})
        (tmp_path / "password").write_text(PASSWORD)
        store = f"{redis_with_password.url}?password_file={tmp_path / 'password'}"
        replica, _, second = await used(fleet, STORE=store)
        refresh = fleet.sandbox.state.accounts["pay1st"].last
        assert refresh is not None
        seal = (SEAL.decode(), base64.b64encode(SEAL).decode())
        found = await judged(
            fleet, replica, KEY, SECRET, SIGNING, CALLER_TOKEN, second, refresh.refresh, PASSWORD, *seal, f"{KEY}:"
        )
        assert found["held"] == [1, 1, 1, 1, 2, 1, 1, 0, 0, 0]


async def test_secrets_given_by_environment_are_one_text_each_too(
    tmp_path: Path, redis_with_password: RedisServer
) -> None:
    """The password of the store is held twice: itself, and in the URL."""
    config = replace(CONFIG, api_key=Secret(KEY), api_secret=Secret(SECRET))
    async with open_fleet(tmp_path, redis_with_password, config) as fleet:
        del fleet.settings["SIDECAR_CREDENTIALS_DIR"]
        store = redis_with_password.url.replace("://", f"://:{PASSWORD}@")
        replica, _, _ = await used(fleet, STORE=store, API_KEY=KEY, API_SECRET=SECRET)
        found = await judged(fleet, replica, KEY, SECRET, PASSWORD)
        assert found["held"] == [1, 1, 2]


async def test_no_object_of_ours_shows_a_secret(tmp_path: Path, redis_with_password: RedisServer) -> None:
    """Convert each object to a text in every way: settings, credentials, tokens and all others."""
    config = replace(CONFIG, api_key=Secret(KEY), api_secret=Secret(SECRET))
    async with open_fleet(tmp_path, redis_with_password, config) as fleet:
        del fleet.settings["SIDECAR_CREDENTIALS_DIR"]
        store = redis_with_password.url.replace("://", f"://:{PASSWORD}@")
        replica, first, second = await used(fleet, STORE=store, API_KEY=KEY, API_SECRET=SECRET)
        found = await judged(fleet, replica, KEY, SECRET, PASSWORD, CALLER_TOKEN, first, second, SEAL.decode())
        assert found["shown"] == []
        assert {"Settings", "ProfileSettings", "Credentials", "Token", "Secret", "Broker"} <= set(found["kinds"])
