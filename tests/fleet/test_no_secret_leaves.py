"""Canaries in every secret, many faults, and then a search through all output."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.core.model import Secret
from tests.servers import RedisServer, free_port
from tests.support.leak_scenarios import (
    ACCESS,
    ADMIN_PATHS,
    CALLER_TOKEN,
    KEY,
    NEVER,
    REFRESH,
    SEAL,
    SECRET,
    SETTINGS,
    SIGNING,
    STORE_PASSWORD,
    TOKEN_MARK,
    TOKENS,
    a_bad_partner,
    a_hostile_partner,
    a_store_that_refuses,
    bad_callers,
    everything_in,
    hostile_partner,
)
from tests.support.output_recorder import OutputRecorder, found
from tests.support.processes import CONFIG, Fleet, open_fleet
from tests.support.replica import Replica, until
from tests.support.secret_encodings import rewritten


@pytest.mark.parametrize("before", [0, 1, 2])
def test_the_search_would_find_a_canary_in_any_text(before: int) -> None:
    """Show that the test below can fail."""
    text = ("x" * before + SECRET + "yz").encode()
    assert found([SECRET], base64.b64encode(text).decode())
    assert found([SECRET], text.hex())
    assert not found([SECRET], "kanary-api-secret")


def mount_canaries(fleet: Fleet) -> None:
    """Put every secret in a file, also the password of the store."""
    for name, text in {
        "seal-key": base64.b64encode(SEAL).decode(),
        "caller-token": CALLER_TOKEN,
        "store-password": STORE_PASSWORD,
    }.items():
        (fleet.folder / name).write_text(text)
    fleet.mount(KEY, SECRET, **{"signing-key": SIGNING})
    fleet.settings["SIDECAR_CALLER_TOKEN_FILE"] = str(fleet.folder / "caller-token")
    fleet.redis.command("CONFIG", "SET", "requirepass", STORE_PASSWORD)


async def talkative(fleet: Fleet, **settings: str) -> Replica:
    """Start a sidecar that logs and audits everything, and wait for its token. The log does not show its addresses."""
    where, admin = (f"127.0.0.1:{free_port()}" for _ in range(2))
    replica = fleet.launch(LISTEN=where, ADMIN_LISTEN=admin, AUDIT="all", **SETTINGS, **settings)
    replica.listens_at(where, admin)
    await until(replica.has_started)
    return replica


@pytest.mark.parametrize(
    ("quoted", "log_format", "password_in"),
    [
        ("", "json", "url"),
        (" ".join((KEY, SECRET, SIGNING, ACCESS, REFRESH, *rewritten(SECRET).values())), "console", "file"),
    ],
    ids=["what-was-sent", "all-it-knows"],
)
async def test_no_secret_is_seen_anywhere(
    tmp_path: Path,
    own_redis_server: RedisServer,
    record_testsuite_property: Callable[[str, object], None],
    quoted: str,
    log_format: str,
    password_in: str,
) -> None:
    """Error responses of the partner may quote what it received or issued earlier."""
    config = replace(CONFIG, api_key=Secret(KEY), api_secret=Secret(SECRET), token_mark=TOKEN_MARK)
    async with open_fleet(tmp_path, own_redis_server, config) as fleet, hostile_partner() as hostile:
        mount_canaries(fleet)
        url = own_redis_server.url
        fleet.settings["SIDECAR_STORE"] = (
            f"{url}?password_file={tmp_path / 'store-password'}"
            if password_in == "file"
            else url.replace("://", f"://:{STORE_PASSWORD}@")
        )
        recorder = OutputRecorder()
        usual = await talkative(fleet, LOG_FORMAT=log_format)
        wronged = await talkative(fleet, LOG_FORMAT=log_format, BASE_URL=hostile.url)
        await a_bad_partner(fleet, usual, recorder)
        await a_hostile_partner(hostile, quoted, wronged, recorder)
        for replica in (usual, wronged):
            await bad_callers(replica, recorder)
        stored = everything_in(own_redis_server)
        await a_store_that_refuses(own_redis_server, usual)
        environs = []
        for replica in (usual, wronged):
            recorder.seen += [(await replica.admin(path)).text for path in ADMIN_PATHS]
            recorder.seen.append(replica.command_line)
            environs.append(replica.environment)
            await fleet.stop(replica)
            recorder.seen.append(replica.output)

        refreshes = [issued.refresh for account in fleet.sandbox.state.accounts.values() if (issued := account.last)]
        in_files = [secret for secret in NEVER if password_in == "file" or secret != STORE_PASSWORD]
        assert len(stored) >= 4
        assert all("audit" in replica.output for replica in (usual, wronged))
        assert recorder.found(NEVER + TOKENS, [*recorder.seen, *stored]) == []
        assert recorder.found(in_files, environs) == []
        assert recorder.found([*NEVER, *refreshes], recorder.good) == []
        assert found(TOKENS, "\n".join(recorder.good)) == TOKENS
        record_testsuite_property(f"searched for secrets, {log_format} log", json.dumps(recorder.figures))
