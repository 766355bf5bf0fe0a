"""A sidecar whose table has a secret in every place that the vocabulary allows, and a partner that repeats them all."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.support.output_recorder import OutputRecorder, found
from tests.support.raw_partner import Play, RawPartner, http, raw_partner
from tests.support.replica import CALLER, Replica, until

KEY, SECRET, SIGNING = "canary-api-key-1", "canary-api-secret-2", "canary-signing-3"
HEADER, FIELD = "canary-constant-header-4", "canary-constant-field-5"
REFRESH_HEADER, REFRESH_FIELD = "canary-refresh-header-6", "canary-refresh-field-7"
ACCESS, REFRESH = "canary-access-token-8", "canary-refresh-token-9"
NEVER = (KEY, SECRET, SIGNING, HEADER, FIELD, REFRESH_HEADER, REFRESH_FIELD, REFRESH)
PLACES = {
    "basic": "",
    "basic-form": 'request = "form"',
    "body": 'client_auth = "body"\nkey_field = "id"\nsecret_field = "secret"',
    "body-form": 'client_auth = "body"\nkey_field = "id"\nsecret_field = "secret"\nrequest = "form"',
    "header": 'client_auth = "header"\nkey_header = "X-Id"\nsecret_header = "X-Secret"',
}
TABLE = f"""
partner = "acme"
[partners.acme]
token_path = "/session"
fields = {{ client_password = "{FIELD}" }}
headers = {{ X-Api-Key = "{HEADER}" }}
access_field = "data.access"
refresh_path = "/renew"
refresh_field = "data.renewal"
refresh_fields = {{ renewal_secret = "{REFRESH_FIELD}" }}
refresh_headers = {{ X-Renewal-Key = "{REFRESH_HEADER}" }}
token_header = "X-Token"
token_scheme = ""
sign = {{ parts = ["body"], timestamp_header = "X-T", signature_header = "X-S", encoding = "hex" }}
"""


def repeat(partner: RawPartner, statuses: Iterator[str]) -> Play:
    """Answer with everything that was ever received, in each field of an error."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received = b"".join(partner.received).decode("latin-1")
        words = " ".join((*NEVER, ACCESS))
        document = {"errorMessage": words, "errorCode": received[-1500:], "sessionId": received[:1500]}
        body = json.dumps(document | {"error": words, "data": {"access": words, "renewal": words}})
        await http(next(statuses), body.encode(), "Retry-After: 1")(reader, writer)

    return play


@pytest.mark.parametrize("place", PLACES)
async def test_no_secret_of_a_table_leaves(place: str, tmp_path: Path) -> None:
    for name, text in (("api-key", KEY), ("api-secret", SECRET), ("signing-key", SIGNING)):
        (tmp_path / name).write_text(text)
    (tmp_path / "sidecar.toml").write_text(TABLE + PLACES[place])
    recorder = OutputRecorder()
    async with raw_partner() as partner, aiohttp.ClientSession() as session:
        document = {"data": {"access": ACCESS, "renewal": REFRESH}}
        partner.play = http("200 OK", json.dumps(document).encode())
        environ = {
            "SIDECAR_CONFIG": str(tmp_path / "sidecar.toml"),
            "SIDECAR_BASE_URL": partner.url,
            "SIDECAR_CREDENTIALS_DIR": str(tmp_path),
            "SIDECAR_LISTEN": "127.0.0.1:0",
            "SIDECAR_ADMIN_LISTEN": "127.0.0.1:0",
            "SIDECAR_LOG_LEVEL": "debug",
            "SIDECAR_AUDIT": "all",
            "SIDECAR_CALL_BUDGET": "100/60",
            "SIDECAR_TOKEN_LIFETIME_S": "600",
            "SIDECAR_COOLDOWN_S": "1",
            "SIDECAR_PARTNER_TIMEOUT_S": "20",
            "SIDECAR_DRAIN_S": "0",
        }
        replica = Replica(session, environ, tmp_path / "log")
        try:
            await replica.listening()
            await until(replica.ready)
            recorder.note(await replica.ask())
            assert (await replica.ask("/v1/authorize")).headers["X-Token"] == ACCESS
            assert recorder.note(await replica.post("/v1/sign", data=b"{}")).status == 200
            ends = itertools.chain(["400 No", "500 Oops", "429 Wait"], itertools.repeat("401 No"))
            partner.play = repeat(partner, ends)

            async def is_refused() -> bool:
                answer = recorder.note(await replica.ask("/v1/token?min_ttl=599", CALLER))
                return answer.code == "credentials-rejected"

            await until(is_refused)
            admin = [await replica.admin(path) for path in ("/metrics", "/status.json", "/status", "/readyz")]
            places = [*recorder.seen, replica.output, *(answer.text for answer in admin)]
        finally:
            replica.kill()
    sent = b"".join(partner.received).decode("latin-1")
    assert {FIELD, HEADER, REFRESH_FIELD, REFRESH_HEADER, REFRESH} <= {one for one in NEVER if one in sent}
    assert found([KEY, SECRET], sent) == [KEY, SECRET]
    assert "***" in "".join(recorder.seen)
    assert recorder.found((*NEVER, ACCESS), places) == []
    assert recorder.found(NEVER, recorder.good) == []
