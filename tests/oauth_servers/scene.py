"""One server with nginx in front of it, and a fleet of sidecars that are its clients."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from tests.oauth_servers.front import Front, front
from tests.oauth_servers.servers import AuthorizationServer, Client, Kind
from tests.servers import RedisServer, free_port
from tests.support.processes import Fleet, open_fleet
from tests.support.replica import PATIENT_S, Answer, Replica, until

APPS = 6
PACE_S = 0.03


@dataclass
class Scene:
    server: AuthorizationServer
    front: Front
    fleet: Fleet
    accepted: set[str] = field(default_factory=set)
    """The ids of the tokens that the resource accepted."""

    async def token(self, replica: Replica) -> Answer:
        """Return a token, and check that the resource accepts it while it lives."""
        answer = await replica.ask()
        token_id = answer.token_id
        if token_id in self.accepted:
            return answer
        if await self.server.accepts(answer.body["accessToken"]):
            self.accepted.add(token_id)
        else:
            # A busy machine may have come too late with it.
            assert datetime.fromisoformat(answer.body["expiresAt"]) < datetime.now(UTC), answer.body
        return answer

    async def use(self) -> None:
        """Be an app that gets a token from any replica, again and again, and uses it."""
        while True:
            answer = await self.token(random.choice(self.fleet.replicas))
            assert "suspect" not in answer.body
            await asyncio.sleep(PACE_S)

    @asynccontextmanager
    async def under_load(self) -> AsyncIterator[None]:
        """Let apps use all replicas meanwhile. None of them may have been refused a token."""
        async with asyncio.TaskGroup() as group:
            apps = [group.create_task(self.use()) for _ in range(APPS)]
            yield
            for app in apps:
                app.cancel()

    async def refusal(self, replica: Replica) -> Answer:
        """Return the first answer that says why there is no token."""
        answer = await replica.ask()
        while answer.code in ("starting", "timeout"):
            answer = await replica.ask()
        assert answer.status != 200, answer.text
        return answer

    async def calls(self, count: int) -> None:
        await until(lambda: len(self.front.calls) >= count)


@asynccontextmanager
async def open_scene(
    kind: Kind,
    folder: Path,
    redis: RedisServer,
    client: Client = Client(),  # noqa: B008 - immutable
    *,
    lifetime_s: int = 900,
    limit: str = "",
    retry_after: str = "",
    **settings: str,
) -> AsyncIterator[Scene]:
    """Start server, nginx and store; the fleet has no replica yet. Settings are named without `SIDECAR_`."""
    port, front_port = free_port(), free_port()
    server = AuthorizationServer(kind, folder, port, f"http://127.0.0.1:{front_port}", (client,), lifetime_s)
    async with open_fleet(folder, redis) as fleet:
        with front(folder, front_port, port, limit, retry_after) as before:
            fleet.mount(client.id, client.secret)
            fleet.settings |= {
                "SIDECAR_PARTNER": "oauth2",
                "SIDECAR_BASE_URL": before.url,
                "SIDECAR_TOKEN_PATH": "/token",
                "SIDECAR_CLIENT_AUTH": client.auth,
                "SIDECAR_SCOPE": "payments",
                "SIDECAR_CALL_BUDGET": "100/60",
                "SIDECAR_PARTNER_TIMEOUT_S": str(PATIENT_S),
                "SIDECAR_REQUEST_TIMEOUT_S": str(PATIENT_S),
                "SIDECAR_STORE_TIMEOUT_S": "10",
                **{f"SIDECAR_{name}": value for name, value in settings.items()},
            }
            try:
                server.start()
                yield Scene(server, before, fleet)
            finally:
                server.stop()


def other_client(client: Client, **changes: str) -> Client:
    return replace(client, **changes)  # type: ignore[arg-type]  # all of them are texts
