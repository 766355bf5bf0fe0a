"""The CA of the partner is replaced: a running sidecar reads the new bundle, and ignores an unusable one."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.certificates import Authority, Pair
from tests.servers import free_port
from tests.support.processes import Fleet
from tests.support.relays import relay
from tests.support.replica import Replica, until


class Ways:
    """Two CAs, the TLS of the partner, and the file with the CA that sidecars trust."""

    def __init__(self, folder: Path) -> None:
        self.old, self.new = Authority(folder / "old"), Authority(folder / "new")
        self.pairs = {authority: authority.issue("partner") for authority in (self.old, self.new)}
        self.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.bundle = folder / "bundle.pem"
        self.show(self.old)
        self.trust(self.old)

    def show(self, authority: Authority) -> None:
        """Have the partner use a certificate of this CA."""
        pair: Pair = self.pairs[authority]
        self.tls.load_cert_chain(pair.certificate, pair.key)

    def trust(self, *authorities: Authority) -> None:
        self.write(b"".join(authority.certificate.read_bytes() for authority in authorities))

    def write(self, content: bytes) -> None:
        """Replace the file by another one, as in a mounted ConfigMap."""
        fresh = self.bundle.with_name("fresh")
        fresh.write_bytes(content)
        fresh.replace(self.bundle)


@pytest.fixture
def ways(tmp_path: Path) -> Ways:
    return Ways(tmp_path)


@asynccontextmanager
async def trusting(fleet: Fleet, ways: Ways) -> AsyncIterator[Replica]:
    """A replica with a token that the partner sent over TLS."""
    port = free_port()
    fleet.settings["SSL_CERT_FILE"] = str(ways.bundle)
    async with relay("127.0.0.1", port, urlsplit(fleet.partner_url).port or 0, ways.tls):
        (replica,) = await fleet.ready(1, BASE_URL=f"https://127.0.0.1:{port}", CALL_BUDGET="1000/1")
        yield replica
        await fleet.stop(replica)


async def rotate(fleet: Fleet, replica: Replica) -> None:
    """Cause one more partner call, which has to succeed."""
    issued = len(fleet.issued)
    held = (await replica.ask()).token_id
    assert await replica.report(held) == "refreshing"
    await until(lambda: len(fleet.issued) > issued)

    async def has_another() -> bool:
        return (await replica.ask()).token_id != held

    await until(has_another)


async def test_a_ca_is_replaced_without_a_restart_and_without_a_failure(fleet: Fleet, ways: Ways) -> None:
    async with trusting(fleet, ways) as replica:
        ways.trust(ways.old, ways.new)
        await rotate(fleet, replica)
        ways.show(ways.new)
        await rotate(fleet, replica)
        ways.trust(ways.new)
        await rotate(fleet, replica)
        assert len(replica.events("partner_certificates_changed")) == 2
        await until(lambda: [call["outcome"] for call in replica.events("partner_called")] == ["ok"] * 4)
        ways.show(ways.old)
        await replica.report((await replica.ask()).token_id)
        await until(lambda: replica.events("partner_called")[-1]["outcome"] == "connect")


async def test_an_unusable_bundle_is_reported_once_and_the_previous_one_stays(fleet: Fleet, ways: Ways) -> None:
    async with trusting(fleet, ways) as replica:
        ways.write(ways.old.certificate.read_bytes()[:200])
        for _ in range(2):
            await rotate(fleet, replica)
        (event,) = replica.events("partner_certificates_unreadable")
        assert event["level"] == "error"
        assert event["problem"].startswith(f"SSL_CERT_FILE: {ways.bundle}: ")
        ways.trust(ways.new)
        ways.show(ways.new)
        await rotate(fleet, replica)
        assert replica.events("partner_certificates_changed")
