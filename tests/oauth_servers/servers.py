"""The OAuth servers that others wrote, as processes, and how the resource of each finds out whether a token is good."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from tests.support.commands import wait_for
from tests.support.programs import found

FOLDER = Path(__file__).parent
Resource: TypeAlias = Callable[[aiohttp.ClientSession, str, str], Awaitable[bool]]
"""Whether the resource accepts a token; takes a session, the URL of the server and the token."""


async def by_introspection(session: aiohttp.ClientSession, url: str, token: str) -> bool:
    """RFC 7662, as a resource that knows nothing about a token."""
    headers = {"Authorization": aiohttp.encode_basic_auth("resource", "resource-secret")}
    async with session.post(f"{url}/token/introspection", data={"token": token}, headers=headers) as response:
        assert response.status == 200, await response.text()
        document = await response.json()
        return bool(document["active"]) and document["scope"] == "payments"


async def by_request(session: aiohttp.ClientSession, url: str, token: str) -> bool:
    """RFC 6750, at a route that only a token opens."""
    async with session.get(f"{url}/resource", headers={"Authorization": f"Bearer {token}"}) as response:
        assert response.status in (200, 401), await response.text()
        return response.status == 200


async def by_keys(session: aiohttp.ClientSession, url: str, token: str) -> bool:
    """By the published keys of the server (RFC 7517), and the claims of the token."""
    async with session.get(f"{url}/jwks") as response:
        keys = KeySet.import_key_set(await response.json())
    try:
        claims = jwt.decode(token, keys, algorithms=["RS256"]).claims
        jwt.JWTClaimsRegistry(exp={"essential": True}, scope={"essential": True, "value": "payments"}).validate(claims)
    except (JoseError, ValueError):
        return False
    return True


@dataclass(frozen=True)
class Kind:
    """One server. `checks`: whether it looks at secret and scope at all."""

    name: str
    program: str
    resource: Resource
    checks: bool = True

    @property
    def command(self) -> Sequence[str]:
        runs = sys.executable if self.program.endswith(".py") else found("node") or "node"
        return [runs, str(FOLDER / self.program)]

    def __str__(self) -> str:
        return self.name


OIDC_PROVIDER = Kind("oidc-provider", "oidc_provider.mjs", by_introspection)
OAUTH2_SERVER = Kind("oauth2-server", "oauth2_server.mjs", by_request)
MOCK_SERVER = Kind("oauth2-mock-server", "mock_server.mjs", by_keys, checks=False)
AUTHLIB = Kind("authlib", "authlib_server.py", by_request)
KINDS = (OIDC_PROVIDER, OAUTH2_SERVER, MOCK_SERVER, AUTHLIB)


@dataclass(frozen=True)
class Client:
    """A client that the server knows. With `jwks`, its public keys, it has no secret."""

    id: str = "payments-app"
    secret: str = "payments-secret"
    auth: str = "basic"
    jwks: Sequence[Mapping[str, Any]] | None = None


@dataclass
class AuthorizationServer:
    """One process of a server. A restarted one has other keys, and knows no token of before."""

    kind: Kind
    folder: Path
    port: int
    issuer: str
    clients: Sequence[Client] = (Client(),)
    lifetime_s: int = 900
    process: subprocess.Popen[str] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """The address of the process itself, for resources. Clients use that of the proxy in front of it."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        clients = [vars(client) for client in self.clients]
        given = {"port": self.port, "issuer": self.issuer, "lifetimeS": self.lifetime_s, "clients": clients}
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.kind.command,
                env={"PATH": os.defpath, "OAUTH_SERVER": json.dumps(given)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        wait_for("(listening)", self.process.stdout)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def change(self, **change: object) -> None:
        """Have oauth2-mock-server change its next token responses."""
        assert self.process is not None
        assert self.process.stdin is not None
        print(json.dumps(change), file=self.process.stdin, flush=True)
        wait_for("(changed)", self.process.stdout)

    async def accepts(self, token: str) -> bool:
        # A session for each: a connection that is kept may be one to the process before a restart.
        async with aiohttp.ClientSession() as session:
            return await self.kind.resource(session, self.url, token)
