"""A client that authenticates by a mounted private key: nothing of any key leaves, and bad files change nothing."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from tests.servers import RedisServer
from tests.support.leak_scenarios import ADMIN_PATHS, everything_in
from tests.support.output_recorder import OutputRecorder
from tests.support.private_keys import ec_key, pem, rsa_key, secrets_in
from tests.support.processes import Fleet, open_fleet
from tests.support.raw_partner import Play, RawPartner, http, raw_partner
from tests.support.replica import PATIENT_S, Replica, until

SETTINGS = {
    "PARTNER": "oauth2",
    "TOKEN_PATH": "/token",
    "CLIENT_AUTH": "private_key_jwt",
    "LOG_LEVEL": "debug",
    "AUDIT": "all",
    "POLL_S": "0.2",
    "CALL_BUDGET": "100/60",
    "PARTNER_TIMEOUT_S": str(PATIENT_S),
    "REQUEST_TIMEOUT_S": "1",
}
JSON = "Content-Type: application/json"


def token(text: str) -> Play:
    return http("200 OK", json.dumps({"access_token": text, "token_type": "Bearer"}).encode(), JSON)


def echo(partner: RawPartner, *statuses: str) -> Play:
    """Respond with one status after another, and quote in every field what was sent."""
    left = iter(statuses)

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = partner.received[-1].decode()
        fields = ("error_description", "sessionId", "errorMessage")
        document = {"error": "invalid_client", **dict.fromkeys(fields, request), "assertion": assertions(partner)[-1]}
        await http(next(left, "500 Oops"), json.dumps(document).encode(), JSON, "Retry-After: 1")(reader, writer)

    return play


def assertions(partner: RawPartner) -> list[str]:
    bodies = [request.partition(b"\r\n\r\n")[2].decode() for request in partner.received]
    return [parse_qs(body)["client_assertion"][0] for body in bodies if body]


def mount(fleet: Fleet, text: str) -> None:
    fleet.mount("client:1", "unused", **{"private-key": text})


async def note_all(replica: Replica, recorder: OutputRecorder) -> None:
    statuses = {path: recorder.note(await replica.admin(path)).status for path in ADMIN_PATHS}
    assert statuses["/status.json"] == statuses["/status"] == 200
    recorder.note(await replica.ask())


@pytest.mark.parametrize("make", [rsa_key, ec_key], ids=["RS256", "ES256"])
async def test_nothing_of_a_key_or_an_assertion_is_seen_anywhere(
    make: type[object], tmp_path: Path, own_redis_server: RedisServer
) -> None:
    first, second = pem(make()), pem(make())  # type: ignore[arg-type]  # both make keys
    damaged = second.replace(second[200:210], "0123456789")
    recorder = OutputRecorder()
    async with open_fleet(tmp_path, own_redis_server) as fleet, raw_partner() as partner:
        mount(fleet, first)
        partner.play = token("access-1")
        (replica,) = await fleet.ready(1, BASE_URL=partner.url, **SETTINGS)
        await note_all(replica, recorder)

        partner.play = echo(partner, "503 Busy", "429 Wait", "401 No")
        await replica.report((await replica.ask()).token_id)
        await until(lambda: len(partner.received) >= 4)
        await note_all(replica, recorder)
        mount(fleet, damaged)
        await until(lambda: bool(replica.events("credentials_unreadable")))
        await note_all(replica, recorder)

        partner.play = token("access-2")
        mount(fleet, second)

        async def has_the_second() -> bool:
            return (await replica.ask()).body.get("accessToken") == "access-2"

        await until(has_the_second)
        await note_all(replica, recorder)
        recorder.seen += [replica.environment, replica.command_line, *everything_in(own_redis_server)]
        await fleet.stop(replica)
        recorder.seen.append(replica.output)

        sent = [text for assertion in assertions(partner) for text in (assertion, assertion.rpartition(".")[2])]
        assert len(set(sent)) == 2 * len(partner.received), "each call has an assertion of its own"
        wanted = [*secrets_in(first), *secrets_in(second), *sent]
        assert recorder.found(wanted, [*recorder.seen, *recorder.good]) == []
