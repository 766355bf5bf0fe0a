"""A real sidecar that may open 64 files: its vending listener is full, and everything else still works."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import socket

import aiohttp

from sidecar.core.model import Address
from tests.support.processes import Fleet
from tests.support.replica import CALLER, Answer, Replica, until
from tests.support.wire import ask

FILES = 64
PROGRAM = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({FILES}, {FILES}))
sys.argv[1:] = ["serve"]
from sidecar.__main__ import main
main()
"""
POLLS, IDLE = 60, 100
ROOM = 18
"""The connections that are left for the vending listener."""
PATHS = ("/livez", "/readyz", "/startupz", "/metrics", "/status.json", "/status")


async def start(fleet: Fleet) -> Replica:
    replica = fleet.launch(("-c", PROGRAM))
    await replica.listening()
    fleet.replicas.append(replica)
    await until(replica.ready)
    return replica


def listening(replica: Replica, name: str) -> Address:
    host, _, port = str(replica.events("service_started")[0][name][0]).rpartition(":")
    return Address(host=host, port=int(port))


def limited(replica: Replica) -> set[str]:
    """The listeners that were full, by the log."""
    return {line["listener"] for line in replica.events("limit_hit") if line["limit"] == "connections"}


async def poll(replica: Replica, token_id: str) -> Answer | None:
    """A long poll for another token; None if the connection was closed without a response."""
    try:
        return await replica.ask("/v1/token?wait=60", {**CALLER, "If-None-Match": f'"{token_id}"'})
    except aiohttp.ClientError:
        return None


async def test_with_few_files_and_many_long_polls_probes_metrics_partner_and_store_go_on(fleet: Fleet) -> None:
    replica = await start(fleet)
    (warning,) = replica.events("configuration_warning")
    assert f"the vending listener takes {ROOM} connections and the admin listener 6" in warning["warning"]
    polls = [asyncio.create_task(poll(replica, fleet.issued[-1])) for _ in range(POLLS)]
    await until(lambda: sum(task.done() for task in polls) == POLLS - ROOM)
    # Connections closed before their request got no response; those closed for others got theirs early.
    answered = {answer.status for task in polls if task.done() and (answer := task.result())}
    assert answered <= {304, 503}
    await until(lambda: limited(replica) == {"vending"})
    # The store, the new credentials and a partner call each need another file.
    fleet.redis.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    fleet.sandbox.state.rotate("new-key", "new-secret")
    fleet.mount("new-key", "new-secret")
    replica.signal(signal.SIGHUP)
    paths = itertools.cycle(PATHS)
    while not all(task.done() for task in polls):
        # Each uses a new connection.
        assert (await ask(listening(replica, "admin_listen"), next(paths))).status == 200, replica.output
    waited = [answer for task in polls if (answer := task.result()) is not None and answer.status == 200]
    assert len(waited) == ROOM
    assert {answer.token_id for answer in waited} == {fleet.issued[-1]}
    assert len(fleet.calls) == 2
    assert (await replica.status())["storeUp"]
    causes = {line.get("cause") for name in ("store_failed", "partner_called") for line in replica.events(name)}
    assert "EMFILE" not in causes


async def test_with_few_files_and_many_idle_connections_apps_and_probes_are_answered(fleet: Fleet) -> None:
    replica = await start(fleet)
    vending, admin = listening(replica, "listen"), listening(replica, "admin_listen")
    with contextlib.ExitStack() as stack:
        for where in (vending, admin):
            for _ in range(IDLE):
                stack.enter_context(socket.create_connection((where.host, where.port)))
        for path in PATHS:
            assert (await ask(admin, path)).status == 200
        assert (await replica.ask()).token_id == fleet.issued[-1]
    await until(lambda: limited(replica) == {"admin", "vending"})
