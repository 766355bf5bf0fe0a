"""A whole sidecar whose caller tokens are rotated: who was answered fast before is refused once the old one is gone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sidecar.core.model import Address
from tests.fakes.replica import until
from tests.fakes.wire import PLAIN, exchange
from tests.schema.whole_service import WholeService, whole_service

OLD, NEW = "caller-token-before", "caller-token-after"
KNOWN = 4
"""So many requests are answered before the rotation: two on the long way, and then from the fast path."""


def request(caller_token: str) -> bytes:
    fields = f"\r\nAuthorization: Bearer {caller_token}\r\nConnection: close\r\n\r\n"
    return PLAIN.replace(b"\r\n\r\n", fields.encode())


async def statuses(address: Address, caller_token: str, times: int = 1) -> list[int]:
    return [(await exchange(address, request(caller_token))).status for _ in range(times)]


def audited(service: WholeService) -> Sequence[dict[str, object]]:
    """The lines of the audit, without what differs with each of them."""
    lines = [json.loads(line) for line in service.log.getvalue().splitlines()]
    found = [line for line in lines if line["event"] == "audit"]
    for line in found:
        del line["timestamp"]
        line["caller"] = str(line["caller"]).rpartition(":")[0]
    return found


@pytest.mark.parametrize("transport", ["tcp", "unix"])
async def test_a_caller_token_that_was_taken_out_is_refused_though_the_fast_path_knew_it(
    tmp_path: Path, transport: str
) -> None:
    file, socket = tmp_path / "caller-tokens", tmp_path / "s"
    file.write_text(f"{OLD}\n{NEW}\n")
    async with whole_service(CALLER_TOKEN_FILE=str(file), AUDIT="all", LISTEN=f"127.0.0.1:0,unix:{socket}") as service:
        tcp = urlsplit(service.vending)
        address = (
            Address(path=str(socket)) if transport == "unix" else Address(host=str(tcp.hostname), port=tcp.port or 0)
        )
        for caller_token in (OLD, NEW):
            assert await statuses(address, caller_token, KNOWN) == [200] * KNOWN
        file.write_text(f"{NEW}\n")

        async def is_refused() -> bool:
            return await statuses(address, OLD) == [401]

        await until(is_refused)
        assert await statuses(address, OLD, KNOWN) == [401] * KNOWN
        assert await statuses(address, NEW, KNOWN) == [200] * KNOWN
        await until(lambda: len(audited(service)) >= 3 * KNOWN)
        first, *others = audited(service)
        assert others == [first] * len(others), "a line of the fast path says what one of the long way says"
        assert {"profile", "endpoint", "caller", "token_id", "outcome"} <= first.keys()
        assert OLD not in service.log.getvalue()
