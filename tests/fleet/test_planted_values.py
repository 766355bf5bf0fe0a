"""An attacker who can write to the store, but has no seal key, stores values there, without an effect for clients."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from typing import Any, TypeAlias

from tests.support.load import under_load
from tests.support.processes import Fleet
from tests.support.replica import until

POLL_S = 0.3
SETTINGS = {"POLL_S": str(POLL_S)}
MEGABYTES = 20_000_000

Document: TypeAlias = dict[str, Any]


class Vault:
    """The stored documents of the profile in Redis, which the attacker may change."""

    def __init__(self, fleet: Fleet) -> None:
        self._redis = fleet.redis
        profile_id = fleet.profile_id
        self.gate, self.token = (f"pts:{{{profile_id}}}:{part}" for part in ("gate", "token"))

    def get(self, key: str) -> Document:
        document: Document = json.loads(self._redis.command("GET", key))
        return document

    def put(self, key: str, value: bytes | Document) -> None:
        self._redis.command("SET", key, value if isinstance(value, bytes) else json.dumps(value))

    @property
    def has_token(self) -> bool:
        return bool(self._redis.command("EXISTS", self.token))


def discarded(fleet: Fleet) -> int:
    return sum(len(replica.events("stored_value_discarded")) for replica in fleet.replicas)


async def test_nothing_planted_is_vended_or_costs_a_call(fleet: Fleet) -> None:
    """All replicas vend the newest token, whatever is stored."""
    first, _ = await fleet.ready(2, **SETTINGS)
    vault = Vault(fleet)
    await until(lambda: vault.has_token)
    old = vault.get(vault.token)
    assert await first.report(fleet.issued[0]) == "refreshing"
    await until(lambda: len(fleet.issued) == 2)
    await until(fleet.agree_on_the_newest)
    await until(lambda: vault.get(vault.token) != old)
    newest, gate = vault.get(vault.token), vault.get(vault.gate)
    now_ms = round(time.time() * 1000)

    planted: dict[str, tuple[str, Callable[[], bytes | Document]]] = {
        "a whole old token": (vault.token, lambda: old),
        "an old token made fresh": (vault.token, lambda: {**old, "issued_ms": now_ms}),
        "an old token under the newest one's fence": (vault.token, lambda: {**old, "fence": newest["fence"]}),
        "an open token": (vault.token, lambda: {**newest, "fence": now_ms + 10**9, "sealed": "open:e30="}),
        "a token under a fence beyond belief": (vault.token, lambda: {**newest, "fence": 10**14 - 1}),
        "megabytes for a token": (vault.token, lambda: b"[" * MEGABYTES),
        "another type for a gate": (vault.gate, lambda: b'"text"'),
        "megabytes for a gate": (vault.gate, lambda: b'{"epoch": "' + b"x" * MEGABYTES),
        "a gate with a fence beyond belief": (vault.gate, lambda: {**gate, "fence": 10**14 - 1}),
    }
    async with under_load(fleet) as load:
        for key, value in planted.values():
            vault.put(vault.token, newest)
            vault.put(key, value())
            await fleet.looked()
            assert await fleet.agree_on_the_newest()
    # A whole old token is valid, so it is not discarded.
    assert discarded(fleet) >= len(planted) - 2
    assert (load.token_ids, load.bad.total()) == ([fleet.issued[1]], 0)
    assert len(fleet.calls) == 2


async def test_a_new_replica_that_finds_an_old_token_gets_the_newest_within_a_poll(fleet: Fleet) -> None:
    """Replicas that hold the newest token store it again; no replica calls the partner."""
    warm = (await fleet.ready(1, **SETTINGS))[0]
    vault = Vault(fleet)
    await until(lambda: vault.has_token)
    old = vault.get(vault.token)
    assert await warm.report(fleet.issued[0]) == "refreshing"
    await until(lambda: vault.get(vault.token) != old)
    warm.signal(signal.SIGSTOP)
    vault.put(vault.token, old)
    new_replica = (await fleet.ready(1, **SETTINGS))[0]
    assert (await new_replica.ask()).token_id == fleet.issued[0]
    warm.signal(signal.SIGCONT)
    await until(fleet.agree_on_the_newest)
    await until(lambda: vault.get(vault.token) != old)
    assert (await new_replica.ask()).token_id == fleet.issued[1]
    assert len(fleet.calls) == 2
