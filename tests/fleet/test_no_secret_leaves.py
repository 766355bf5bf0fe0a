"""Canaries in every secret, a bad day, and then a search through everything anybody can see."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from sidecar.core.model import Address, Secret
from sidecar.partner.sandbox.faults import Fault
from tests.fakes.processes import CONFIG, Fleet, open_fleet
from tests.fakes.raw_partner import Play, RawPartner, http, raw_partner
from tests.fakes.replica import Answer, Replica, until
from tests.fakes.wire import exchange
from tests.servers import RedisServer

KEY, SECRET, SIGNING = "kanary-api-key-1fe2", "kanary-api-secret-2fe3/+é", "kanary-signing-3fe4"
SEAL = b"kanary-seal-key-of-32-bytes-4fe5"
CALLER_TOKEN, STORE_PASSWORD = "kanary-caller-token-5fe6", "kanary-store-password-6fe7"
TOKEN_MARK = "kanary-sandbox-7fe8-"
ACCESS, REFRESH = "kanary-access-8fe9-of-the-hostile-partner", "kanary-refresh-9fea-of-the-hostile-partner"

NEVER = [KEY, SECRET, SIGNING, SEAL.decode(), base64.b64encode(SEAL).decode(), CALLER_TOKEN, STORE_PASSWORD, REFRESH]
"""What may be seen nowhere at all."""
TOKENS = [TOKEN_MARK, ACCESS]
"""What only good answers on the vending listener may hold."""

CALLER = {"Sidecar-Request": "true", "Authorization": f"Bearer {CALLER_TOKEN}"}
SETTINGS = {
    "LOG_LEVEL": "debug",
    "POLL_S": "0.3",
    "TOKEN_LIFETIME_S": "60",
    "CALL_BUDGET": "100/60",
    "PARTNER_TIMEOUT_S": "2",
    "COOLDOWN_S": "1",
}
NOISE_S = 8


def shapes(canary: str) -> Iterator[str]:
    """The canary as it is and as it may hide: quoted, in JSON, in hex, and in base64 of a text that it is part of."""
    raw = canary.encode()
    yield from (canary, quote(canary, safe=""), json.dumps(canary)[1:-1], raw.hex(), raw.hex().upper())
    for offset in range(3):
        # Cut off what depends on the neighbours.
        whole = base64.b64encode(b"\0" * offset + raw + b"\0" * (-(offset + len(raw)) % 3)).decode()
        inner = whole[(offset * 8 + 5) // 6 : (offset + len(raw)) * 8 // 6]
        yield from (inner, inner.replace("+", "-").replace("/", "_"))


def found(canaries: list[str], place: str) -> list[str]:
    return [canary for canary in canaries if any(shape in place for shape in shapes(canary))]


@pytest.mark.parametrize("before", [0, 1, 2])
def test_the_search_would_find_a_canary_in_any_text(before: int) -> None:
    """So that the test below can fail."""
    text = ("x" * before + SECRET + "yz").encode()
    assert found([SECRET], base64.b64encode(text).decode())
    assert found([SECRET], text.hex())
    assert not found([SECRET], "kanary-api-secret")


class Witness:
    """Everything a replica said to the outside: `seen` may hold no secret, `good` the access token."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.good: list[str] = []

    def note(self, answer: Answer) -> Answer:
        text = f"{answer.status} {dict(answer.headers)} {answer.text}"
        (self.good if answer.status in (200, 204) else self.seen).append(text)
        return answer


@pytest.fixture
async def hostile() -> AsyncIterator[RawPartner]:
    """Hands out a token once, and from then on repeats what it was sent."""
    async with raw_partner() as partner:
        document = {"role": "API_USER", "accessToken": ACCESS, "refreshToken": REFRESH}
        partner.play = http("200 OK", json.dumps(document).encode(), "Content-Type: application/json")
        yield partner


def echo(partner: RawPartner, quoted: str, *statuses: str) -> Play:
    """Answer with one status after the other and, in every field, what was sent and what `quoted` says beside it."""
    left = iter(statuses)

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = partner.received[-1]
        secrets = f"{KEY} {SECRET}" if b"Basic" in request else REFRESH
        document = {"errorMessage": request.decode(), "errorCode": secrets, "sessionId": quoted or secrets}
        head = ("Content-Type: application/json", "Retry-After: 1")
        await http(next(left), json.dumps(document).encode(), *head)(reader, writer)

    return play


@pytest.mark.parametrize("quoted", ["", f"{KEY} {SECRET} {ACCESS} {REFRESH}"], ids=["what-was-sent", "all-it-knows"])
async def test_no_secret_is_seen_anywhere(
    tmp_path: Path, own_redis_server: RedisServer, hostile: RawPartner, quoted: str
) -> None:
    """Not even when the partner's refusals quote what it was sent, or what it learned or issued earlier."""
    config = replace(CONFIG, api_key=Secret(KEY), api_secret=Secret(SECRET), token_mark=TOKEN_MARK)
    own_redis_server.command("CONFIG", "SET", "requirepass", STORE_PASSWORD)
    async with open_fleet(tmp_path, own_redis_server, config) as fleet:
        (tmp_path / "seal-key").write_bytes(base64.b64encode(SEAL))
        (tmp_path / "caller-token").write_text(CALLER_TOKEN)
        fleet.mount(KEY, SECRET, **{"signing-key": SIGNING})
        fleet.settings["SIDECAR_CALLER_TOKEN_FILE"] = str(tmp_path / "caller-token")
        fleet.settings["SIDECAR_STORE"] = own_redis_server.url.replace("://", f"://:{STORE_PASSWORD}@")
        witness = Witness()
        usual, wronged = await fleet.start(1, **SETTINGS) + await fleet.start(1, BASE_URL=hostile.url, **SETTINGS)
        for replica in (usual, wronged):
            await until(replica.ready, NOISE_S)
        await a_bad_partner(fleet, usual, witness)
        await a_hostile_partner(hostile, quoted, wronged, witness)
        for replica in (usual, wronged):
            await bad_callers(replica, witness)
        stored = everything_in(own_redis_server)
        await a_store_that_refuses(own_redis_server, usual)
        for replica in (usual, wronged):
            witness.seen += [(await replica.admin(path)).text for path in ADMIN_PATHS]
            witness.seen.append(replica.command_line)
            await fleet.stop(replica, 0)
            witness.seen.append(replica.output)

        refreshes = [issued.refresh for account in fleet.sandbox.state.accounts.values() if (issued := account.last)]
        assert len(stored) >= 4
        assert found(NEVER + TOKENS, "\n".join([*witness.seen, *stored])) == []
        assert found([*NEVER, *refreshes], "\n".join(witness.good)) == []
        assert found(TOKENS, "\n".join(witness.good)) == TOKENS


ADMIN_PATHS = ("/metrics", "/status.json", "/status", "/readyz", "/livez", "/openapi.json")


async def a_bad_partner(fleet: Fleet, replica: Replica, witness: Witness) -> None:
    """Every way of vending, then one fault after the other."""
    token_id = witness.note(await replica.ask(headers=CALLER)).token_id
    witness.note(await replica.ask("/v1/authorize", headers=CALLER))
    witness.note(await replica.ask("/openapi.json", headers=CALLER))
    form = {"grant_type": "client_credentials", "client_id": "default", "client_secret": CALLER_TOKEN}
    assert witness.note(await replica.post("/oauth/token", headers={}, data=form)).status == 200
    for fault in (
        Fault(fault="html"),
        Fault(fault="status", status=500),
        Fault(fault="truncated"),
        Fault(fault="wrong-role"),
        Fault(fault="status", status=429, retry_after="1"),
    ):
        fleet.sandbox.state.faults.add(fault)
    witness.note(await replica.post("/v1/token/rejected", headers=CALLER, json={"tokenId": token_id}))

    async def replaced() -> bool:
        return witness.note(await replica.ask(headers=CALLER)).token_id != token_id

    await until(replaced, 30)
    fleet.sandbox.state.faults.add(Fault(fault="status", status=401, count=0))
    await until(lambda: refused(replica, witness), NOISE_S)
    assert {200, 401, 429, 500} <= {call.status for call in fleet.calls}


async def refused(replica: Replica, witness: Witness) -> bool:
    """Whether the partner rejects the credentials by now; asks for more life than the token has left."""
    return witness.note(await replica.ask("/v1/token?min_ttl=59", headers=CALLER)).code == "credentials-rejected"


async def a_hostile_partner(partner: RawPartner, quoted: str, replica: Replica, witness: Witness) -> None:
    """A refused refresh, then grants, each answered with what was sent."""
    witness.note(await replica.ask(headers=CALLER))
    partner.play = echo(partner, quoted, "400 No", "500 Oops", "429 Wait", "401 No")
    await until(lambda: refused(replica, witness), NOISE_S)
    assert [REFRESH.encode() in sent for sent in partner.received] == [False, True, False, False, False]


async def bad_callers(replica: Replica, witness: Witness) -> None:
    """Refused and malformed requests that carry secrets where they do not belong."""
    for headers in (
        {},
        {"Sidecar-Request": "true"},
        {"Sidecar-Request": "true", "Authorization": f"Bearer {ACCESS}"},
        {**CALLER, "X-Forwarded-For": KEY},
        {**CALLER, "Host": "evil.example"},
    ):
        assert witness.note(await replica.ask(headers=headers)).status in (401, 403)
    for body in (f'{{"accessToken": "{ACCESS}', f'["{ACCESS}"]', f'{{"accessToken": "{ACCESS}", "x": "{SECRET}"}}'):
        witness.note(await replica.post("/v1/token/rejected", headers=CALLER, data=body.encode()))
    form = {"grant_type": "client_credentials", "client_secret": SECRET}
    assert witness.note(await replica.post("/oauth/token", headers={}, data=form)).status == 401
    where = urlsplit(replica.url)
    for line in (
        f"GET /v1/token HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {CALLER_TOKEN}\x01\r\n\r\n",
        f"G\x01T /v1/token?access_token={ACCESS} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        f"GET /v1/token HTTP/1.1\r\nHost: localhost\r\nX: {CALLER_TOKEN * 2000}\r\n\r\n",
    ):
        reply = await exchange(Address(str(where.hostname), where.port or 0), line.encode())
        witness.seen.append(reply.raw.decode())
        assert reply.status == 400


async def a_store_that_refuses(redis: RedisServer, replica: Replica) -> None:
    """Its errors may quote what was sent: the password."""
    redis.command("CONFIG", "SET", "requirepass", "another")
    redis.command("CLIENT", "KILL", "TYPE", "normal")
    await until(lambda: bool(replica.events("store_failed")), NOISE_S)


def everything_in(redis: RedisServer) -> list[str]:
    """Every key and value."""
    keys = redis.command("KEYS", "*")
    return [part.decode("latin-1") for key in keys for part in (key, redis.command("GET", key))]
