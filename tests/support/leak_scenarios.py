"""Canaries in every secret, and scenarios that could leak them: faults of the partner, of clients and of the store."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from sidecar.core.model import Address
from sidecar.sandbox.faults import Fault
from tests.servers import RedisServer
from tests.support.output_recorder import OutputRecorder
from tests.support.processes import Fleet
from tests.support.raw_partner import Play, RawPartner, http, raw_partner
from tests.support.replica import Replica, until
from tests.support.wire import exchange

KEY, SECRET, SIGNING = "kanary-api-key-1fe2", "kanary-api-secret-2fe3/+é", "kanary-signing-3fe4"
SEAL = b"kanary-seal-key-of-32-bytes-4fe5"
CALLER_TOKEN, STORE_PASSWORD = "kanary-caller-token-5fe6", "kanary-store-password-6fe7"
TOKEN_MARK = "kanary-sandbox-7fe8-"
ACCESS, REFRESH = "kanary-access-8fe9-of-the-hostile-partner", "kanary-refresh-9fea-of-the-hostile-partner"

NEVER = [KEY, SECRET, SIGNING, SEAL.decode(), base64.b64encode(SEAL).decode(), CALLER_TOKEN, STORE_PASSWORD, REFRESH]
"""Secrets that may be in no output."""
TOKENS = [TOKEN_MARK, ACCESS]
"""Secrets that may be only in successful responses of the vending listener."""

CALLER = {"Sidecar-Request": "true", "Authorization": f"Bearer {CALLER_TOKEN}"}
SETTINGS = {
    "LOG_LEVEL": "debug",
    "POLL_S": "0.3",
    "TOKEN_LIFETIME_S": "60",
    "CALL_BUDGET": "100/60",
    "PARTNER_TIMEOUT_S": "2",
    "COOLDOWN_S": "1",
}
ADMIN_PATHS = ("/metrics", "/status.json", "/status", "/readyz", "/startupz", "/livez", "/openapi.json")


@asynccontextmanager
async def hostile_partner() -> AsyncIterator[RawPartner]:
    """Issues a token once, and from then on repeats what it received."""
    async with raw_partner() as partner:
        document = {"role": "API_USER", "accessToken": ACCESS, "refreshToken": REFRESH}
        partner.play = http("200 OK", json.dumps(document).encode(), "Content-Type: application/json")
        yield partner


def echo(partner: RawPartner, quoted: str, *statuses: str) -> Play:
    """Respond with one status after another, and quote in every field what was sent and what `quoted` adds."""
    left = iter(statuses)

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = partner.received[-1]
        secrets = f"{KEY} {SECRET}" if b"Basic" in request else REFRESH
        document = {"errorMessage": request.decode(), "errorCode": secrets, "sessionId": quoted or secrets}
        head = ("Content-Type: application/json", "Retry-After: 1")
        await http(next(left), json.dumps(document).encode(), *head)(reader, writer)

    return play


async def a_bad_partner(fleet: Fleet, replica: Replica, recorder: OutputRecorder) -> None:
    """Vend in every way, then cause one fault after another."""
    token_id = recorder.note(await replica.ask(headers=CALLER)).token_id
    recorder.note(await replica.ask("/v1/authorize", headers=CALLER))
    recorder.note(await replica.ask("/openapi.json", headers=CALLER))
    for accept, body in (("*/*", b"{}"), ("text/plain", bytes(100_000))):
        signed = await replica.post("/v1/sign", headers=CALLER | {"Accept": accept}, data=body)
        assert recorder.note(signed).status == 200
    form = {"grant_type": "client_credentials", "client_id": "default", "client_secret": CALLER_TOKEN}
    assert recorder.note(await replica.post("/oauth/token", headers={}, data=form)).status == 200
    for fault in (
        Fault(fault="html"),
        Fault(fault="status", status=500),
        Fault(fault="truncated"),
        Fault(fault="wrong-role"),
        Fault(fault="status", status=429, retry_after="1"),
    ):
        fleet.sandbox.state.faults.add(fault)
    recorder.note(await replica.post("/v1/token/rejected", headers=CALLER, json={"tokenId": token_id}))

    async def replaced() -> bool:
        return recorder.note(await replica.ask(headers=CALLER)).token_id != token_id

    await until(replaced)
    fleet.sandbox.state.faults.add(Fault(fault="status", status=401, count=0))
    await until(lambda: refused(replica, recorder))
    assert {200, 401, 429, 500} <= {call.status for call in fleet.calls}


async def refused(replica: Replica, recorder: OutputRecorder) -> bool:
    """Request more lifetime than the token has left, and return whether the partner rejects the credentials."""
    return recorder.note(await replica.ask("/v1/token?min_ttl=59", headers=CALLER)).code == "credentials-rejected"


async def a_hostile_partner(partner: RawPartner, quoted: str, replica: Replica, recorder: OutputRecorder) -> None:
    """A rejected refresh, then grants, each answered with what was sent."""
    recorder.note(await replica.ask(headers=CALLER))
    partner.play = echo(partner, quoted, "400 No", "500 Oops", "429 Wait", "401 No")
    await until(lambda: refused(replica, recorder))
    assert [REFRESH.encode() in sent for sent in partner.received] == [False, True, False, False, False]


async def bad_callers(replica: Replica, recorder: OutputRecorder) -> None:
    """Refused and malformed requests with secrets in wrong places."""
    for headers in (
        {},
        {"Sidecar-Request": "true"},
        {"Sidecar-Request": "true", "Authorization": f"Bearer {ACCESS}"},
        {**CALLER, "X-Forwarded-For": KEY},
        {**CALLER, "Host": "evil.example"},
    ):
        assert recorder.note(await replica.ask(headers=headers)).status in (401, 403)
    for body in (f'{{"accessToken": "{ACCESS}', f'["{ACCESS}"]', f'{{"accessToken": "{ACCESS}", "x": "{SECRET}"}}'):
        recorder.note(await replica.post("/v1/token/rejected", headers=CALLER, data=body.encode()))
    for path, headers in (("/v1/sign", {}), (f"/v1/sign?key={SIGNING}", CALLER), ("/v1/sign/none", CALLER)):
        signed = await replica.post(path, headers=headers, data=f"{SIGNING} {ACCESS}".encode())
        assert recorder.note(signed).status in (400, 401, 403, 404)
    form = {"grant_type": "client_credentials", "client_secret": SECRET}
    assert recorder.note(await replica.post("/oauth/token", headers={}, data=form)).status == 401
    where = urlsplit(replica.url)
    for status, line in (
        (400, f"GET /v1/token HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {CALLER_TOKEN}\x01\r\n\r\n"),
        (400, f"G\x01T /v1/token?access_token={ACCESS} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        (431, f"GET /v1/token HTTP/1.1\r\nHost: localhost\r\nX: {CALLER_TOKEN * 2000}\r\n\r\n"),
    ):
        reply = await exchange(Address(str(where.hostname), where.port or 0), line.encode())
        recorder.seen.append(reply.raw.decode())
        assert reply.status == status


async def a_store_that_refuses(redis: RedisServer, replica: Replica) -> None:
    """Cause errors that may quote the password."""
    redis.command("CONFIG", "SET", "requirepass", "another")
    redis.command("CLIENT", "KILL", "TYPE", "normal")
    await until(lambda: "store_failed" in replica.output)


def everything_in(redis: RedisServer) -> list[str]:
    """Return every key and value."""
    keys = redis.command("KEYS", "*")
    return [part.decode("latin-1") for key in keys for part in (key, redis.command("GET", key))]
