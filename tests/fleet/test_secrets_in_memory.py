"""How many copies of each secret are in the memory of a sidecar that has run for a while.

Python cannot wipe memory that it frees. Beside the one copy in use there are remnants, until their memory is used
again. They come from the latest read of a file and the latest call, and their number must not grow with time.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from sidecar.core.model import Secret
from tests.servers import RedisServer
from tests.support.memory import READABLE, copies
from tests.support.processes import CONFIG, open_fleet
from tests.support.replica import until

KEY, SECRET, SIGNING = "kanary-api-key-7a1c93", "kanary-api-secret-81c2bd", "kanary-signing-e93f01"
SEAL = b"kanary-seal-key-of-32-bytes-b7d1"
CALLER_TOKEN, PASSWORD = "kanary-caller-token-51bd20", "kanary-store-password-c2f6a8"
CALLER = {"Sidecar-Request": "true", "Authorization": f"Bearer {CALLER_TOKEN}"}
IN_USE = {"api key": KEY, "api secret": SECRET, "signing key": SIGNING, "caller token": CALLER_TOKEN}
ROTATIONS, REQUESTS = 5, 200
MOST_COPIES = 5
"""One is in use (two of a token: itself, and the prepared response; of a seal key that of OpenSSL).
The others are remnants of the latest read and the latest call: the file's bytes, the text before it was stripped,
the credentials that the id was made of, the header that was sent."""
MOST_REMNANTS = 2
"""Copies of secrets that are not held: the store's password, read for each connection, and a replaced token."""


async def test_a_secret_does_not_pile_up_in_memory(
    tmp_path: Path, own_redis_server: RedisServer, record_testsuite_property: Callable[[str, object], None]
) -> None:
    own_redis_server.command("CONFIG", "SET", "requirepass", PASSWORD)
    config = replace(CONFIG, api_key=Secret(KEY), api_secret=Secret(SECRET))
    async with open_fleet(tmp_path, own_redis_server, config) as fleet:
        fleet.mount(KEY, SECRET, **{"signing-key": SIGNING})
        (tmp_path / "seal-key").write_bytes(base64.b64encode(SEAL))
        (tmp_path / "caller-token").write_text(CALLER_TOKEN)
        (tmp_path / "password").write_text(PASSWORD)
        replica = fleet.launch(
            READABLE,
            POLL_S="0.1",
            CALL_BUDGET="1000/60",
            CALLER_TOKEN_FILE=str(tmp_path / "caller-token"),
            STORE=f"{own_redis_server.url}?password_file={tmp_path / 'password'}",
        )
        await replica.listening()
        tokens = []
        for _ in range(ROTATIONS):
            for _ in range(REQUESTS // ROTATIONS):
                answer = await replica.ask(headers=CALLER)
                for body in (b"{}", bytes(100_000)):
                    assert (await replica.post("/v1/sign", headers=CALLER, data=body)).status == 200
            tokens.append(answer.body["accessToken"])
            await replica.post("/v1/token/rejected", headers=CALLER, json={"tokenId": answer.token_id})
        secrets = {name: text.encode() for name, text in IN_USE.items()} | {
            "seal key": SEAL,
            "token": tokens[-1].encode(),
        }
        gone = {"store password": PASSWORD.encode(), "first token": tokens[0].encode()}

        def counts(sought: Mapping[str, bytes]) -> dict[str, int]:
            return {name: copies(replica.process.pid, secret) for name, secret in sought.items()}

        def few_are_left() -> bool:
            return max(counts(secrets).values()) <= MOST_COPIES and max(counts(gone).values()) <= MOST_REMNANTS

        try:
            await until(few_are_left)
        finally:
            record_testsuite_property("copies in memory", json.dumps(found := counts(secrets | gone)))
        assert all(found[name] >= 1 for name in secrets)
