"""The partner's host name: each call looks it up. Without a response of the name server, earlier addresses are used."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from sidecar.core.errors import FailureKind, PartnerError
from sidecar.core.model import Credentials, Secret
from sidecar.partner.client import PartnerClient
from sidecar.partner.presets import PRESETS
from sidecar.partner.transport import open_session
from sidecar.resolver import Resolver
from tests.support.canary_call import GOOD, always
from tests.support.hand_clock import HandClock
from tests.support.raw_partner import RawPartner, http
from tests.support.relays import black_hole
from tests.support.replica import PATIENT_S
from tests.support.zone import AGAIN, UNKNOWN, Zone

CREDENTIALS = Credentials(api_key=Secret("key"), api_secret=Secret("secret"))
DEAD = "127.0.0.9"


@pytest.fixture
def zone() -> Iterator[Zone]:
    made = Zone()
    made.addresses["partner.test"] = ("127.0.0.1",)
    yield made
    made.answer()


@pytest.fixture
async def named_session(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[aiohttp.ClientSession]:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    async with open_session(Resolver(0.01, zone.look_up)) as session:
        yield session


@pytest.fixture
def named(partner: RawPartner, named_session: aiohttp.ClientSession) -> PartnerClient:
    partner.play = http("200 OK", GOOD)
    url = partner.url.replace("127.0.0.1", "partner.test")
    return PartnerClient(PRESETS["pay1st"], url, PATIENT_S, named_session, HandClock())


async def grant(client: PartnerClient) -> None:
    await client.grant(CREDENTIALS, "API_USER", always)


async def test_each_call_looks_the_name_up_and_sends_it(named: PartnerClient, partner: RawPartner, zone: Zone) -> None:
    for _ in range(2):
        await grant(named)
    assert zone.asked == ["partner.test"] * 2
    assert all(b"Host: partner.test" in received for received in partner.received)


async def test_a_name_server_that_does_not_respond_fails_no_call_once_the_name_was_found(
    named: PartnerClient, partner: RawPartner, zone: Zone
) -> None:
    await grant(named)
    zone.addresses["partner.test"] = AGAIN
    await grant(named)
    zone.silence("partner.test")
    await grant(named)
    assert len(partner.received) == 3


async def test_a_name_that_does_not_exist_is_a_connect_failure(named: PartnerClient, zone: Zone) -> None:
    zone.addresses["partner.test"] = UNKNOWN
    with pytest.raises(PartnerError) as caught:
        await grant(named)
    assert (caught.value.kind, caught.value.cause) == (FailureKind.CONNECT, "ClientConnectorDNSError")


async def test_a_dead_first_address_fails_no_call(named: PartnerClient, partner: RawPartner, zone: Zone) -> None:
    zone.addresses["partner.test"] = (DEAD, "127.0.0.1")
    with black_hole(DEAD, int(partner.url.rpartition(":")[2])):
        await grant(named)
