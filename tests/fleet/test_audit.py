"""The audit of real processes, as operators read it in the logs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from sidecar.core.model import Address
from tests.servers import free_port
from tests.support.processes import Fleet
from tests.support.replica import Replica, until
from tests.support.wire import ask

AUDITED = ("profile", "endpoint", "outcome", "token_id")


async def auditing(fleet: Fleet, socket: Path, mode: str) -> Replica:
    """A sidecar with a token, on TCP and on a unix socket, that logs only errors."""
    port, admin_port = free_port(), free_port()
    replica = fleet.launch(
        AUDIT=mode,
        LOG_LEVEL="error",
        LISTEN=f"127.0.0.1:{port},unix:{socket}",
        ADMIN_LISTEN=f"127.0.0.1:{admin_port}",
    )
    replica.listens_at(f"127.0.0.1:{port}", f"127.0.0.1:{admin_port}")
    await until(replica.has_started)
    return replica


async def use(replica: Replica, socket: Path) -> tuple[str, str]:
    """Get the token three times over TCP, twice over the socket, report it, get another one; return both ids."""
    for _ in range(3):
        first = (await replica.ask()).token_id
    for _ in range(2):
        assert (await ask(Address(path=str(socket)), "/v1/authorize")).status == 200
    assert await replica.report(first) == "refreshing"
    assert await replica.report("0" * 32) == "already-replaced"
    second = (await replica.ask()).token_id
    assert second != first
    return first, second


async def audited(replica: Replica, count: int) -> list[dict[str, Any]]:
    """Wait for so many audit lines and return them: a response may arrive before its line."""
    await until(lambda: len(replica.events("audit")) >= count)
    return replica.events("audit")


@pytest.fixture
def socket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep the path of the socket short enough."""
    return tmp_path_factory.mktemp("s") / "vend.sock"


async def test_audit_all_logs_every_token_and_report_at_any_log_level(fleet: Fleet, socket: Path) -> None:
    replica = await auditing(fleet, socket, "all")
    first, second = await use(replica, socket)
    lines = await audited(replica, 8)
    assert [tuple(line.get(name) for name in AUDITED) for line in lines] == [
        *[("default", "token", "ok", first)] * 3,
        *[("default", "authorize", "ok", first)] * 2,
        ("default", "rejected", "refreshing", first),
        ("default", "rejected", "already-replaced", None),
        ("default", "token", "ok", second),
    ]
    callers = [line["caller"] for line in lines]
    assert callers[3:5] == [f"uid:{os.getuid()}"] * 2
    assert all(caller.startswith("127.0.0.1:") for caller in callers[:3] + callers[5:])
    assert len(lines) == len(replica.output.splitlines())


async def test_audit_changes_logs_a_callers_first_use_of_each_token_and_reports(fleet: Fleet, socket: Path) -> None:
    replica = await auditing(fleet, socket, "changes")
    first, second = await use(replica, socket)
    assert [tuple(line.get(name) for name in AUDITED) for line in await audited(replica, 5)] == [
        ("default", "token", "ok", first),
        ("default", "authorize", "ok", first),
        ("default", "rejected", "refreshing", first),
        ("default", "rejected", "already-replaced", None),
        ("default", "token", "ok", second),
    ]


async def test_audit_off_logs_nothing(fleet: Fleet, socket: Path) -> None:
    replica = await auditing(fleet, socket, "off")
    await use(replica, socket)
    assert replica.output == ""


async def test_audited_data_is_in_no_metric_and_on_no_status_page(fleet: Fleet, socket: Path) -> None:
    replica = await auditing(fleet, socket, "all")
    await use(replica, socket)
    callers = {line["caller"] for line in await audited(replica, 8)}
    pages = [(await replica.admin(path)).text for path in ("/metrics", "/status.json")]
    assert callers
    assert not any(caller in page for caller in callers for page in pages)
    assert '"audit"' not in pages[1]


async def test_no_line_of_the_audit_holds_the_token(fleet: Fleet, socket: Path) -> None:
    replica = await auditing(fleet, socket, "all")
    token = (await replica.ask()).body["accessToken"]
    await replica.post("/v1/token/rejected", json={"tokenId": token})
    await replica.post("/v1/token/rejected", json={"accessToken": token})
    assert len(await audited(replica, 3)) == 3
    assert token not in replica.output
