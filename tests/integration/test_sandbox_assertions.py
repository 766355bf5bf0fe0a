"""The sandbox as a server that clients authenticate to with a signed assertion: RFC 7523 section 3."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sidecar.core.errors import FailureKind, PartnerError
from sidecar.core.model import Credentials, Secret
from sidecar.core.partner_vocabulary import read_table
from sidecar.partner.client import PartnerClient
from sidecar.partner.client_assertion import client_assertion
from sidecar.partner.token_request import Assertion, TokenRequest, grant_request
from sidecar.partner.transport import open_session
from sidecar.sandbox import Sandbox, SandboxConfig
from tests.support.canary_call import always
from tests.support.hand_clock import HandClock
from tests.support.replica import PATIENT_S

TABLE = read_table(
    "acme",
    {
        "token_path": "/token",
        "oauth2": True,
        "request": "form",
        "client_auth": "private_key_jwt",
        "fields": {"grant_type": "client_credentials"},
    },
)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> Secret:
    return Secret(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


KEYS = {"RS256": pem(rsa.generate_private_key(65537, 2048)), "ES256": pem(ec.generate_private_key(ec.SECP256R1()))}
OTHER = pem(ec.generate_private_key(ec.SECP256R1()))


class AssertionBench:
    def __init__(self, sandbox: Sandbox, session: aiohttp.ClientSession, key: Secret) -> None:
        self.sandbox, self.session = sandbox, session
        self.credentials = Credentials(api_key=Secret("client"), api_secret=key)
        self.client = PartnerClient(TABLE, sandbox.url, PATIENT_S, session, sandbox.state.clock)
        now = sandbox.state.clock.wall()
        self.assertion = Assertion(audience=f"{sandbox.url}/token", jwt_id="id-1", now=now)

    async def status(self, request: TokenRequest) -> int:
        headers = {**request.headers, "Content-Type": request.content_type}
        async with self.session.post(self.sandbox.url + request.path, headers=headers, data=request.body) as response:
            return response.status

    def request(self, assertion: Assertion, credentials: Credentials | None = None) -> TokenRequest:
        return grant_request(TABLE, credentials or self.credentials, "", assertion)


@pytest.fixture(params=KEYS)
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[AssertionBench]:
    key = KEYS[request.param]
    sandbox = Sandbox(SandboxConfig(api_key=Secret("client"), api_secret=key, partners=(TABLE,)), HandClock())
    await sandbox.start()
    async with open_session() as session:
        yield AssertionBench(sandbox, session, key)
    await sandbox.stop()


async def test_the_client_gets_a_token_for_each_new_assertion(bench: AssertionBench) -> None:
    tokens = [await bench.client.grant(bench.credentials, "", always) for _ in range(2)]
    assert tokens[0].access != tokens[1].access


async def test_an_assertion_is_accepted_once(bench: AssertionBench) -> None:
    request = bench.request(bench.assertion)
    assert [await bench.status(request) for _ in range(2)] == [200, 401]


async def test_an_assertion_of_another_key_client_server_or_time_is_refused(bench: AssertionBench) -> None:
    now, key = bench.assertion.now, bench.credentials.api_secret
    others = [
        bench.request(bench.assertion, Credentials(api_key=Secret("client"), api_secret=OTHER)),
        bench.request(bench.assertion, Credentials(api_key=Secret("another"), api_secret=key)),
        bench.request(replace(bench.assertion, audience="https://another.example/token")),
        bench.request(replace(bench.assertion, now=now - 600)),
        bench.request(replace(bench.assertion, now=now + 600)),
    ]
    assert [await bench.status(request) for request in others] == [401] * len(others)
    with pytest.raises(PartnerError) as caught:
        await bench.client.grant(Credentials(api_key=Secret("client"), api_secret=OTHER), "", always)
    assert caught.value.kind is FailureKind.UNAUTHORIZED


@pytest.mark.parametrize("damage", ["", "a", "a.b.c", "{}.{}.{}", "e30.e30.", "bnVsbA.bnVsbA.AAAA"])
async def test_what_is_no_assertion_is_refused(bench: AssertionBench, damage: str) -> None:
    request = bench.request(bench.assertion)
    made = client_assertion(
        "client", bench.credentials.api_secret, bench.assertion.audience, "id-2", bench.assertion.now
    )
    changed = replace(request, body=request.body[: request.body.rindex(b"=") + 1] + damage.encode())
    assert await bench.status(changed) == 401
    kind = replace(request, body=request.body.replace(b"jwt-bearer", b"saml2-bearer"))
    assert await bench.status(kind) == 401
    # Only the damage was the reason.
    assert (
        await bench.status(replace(changed, body=changed.body[: len(changed.body) - len(damage)] + made.encode()))
        == 200
    )
