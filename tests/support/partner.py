"""A partner in memory that counts its calls and follows the script of a test."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sidecar.core.errors import FailureKind, PartnerDetail, PartnerError, UnsentError
from sidecar.core.model import Credentials, Operation, PartnerToken, Secret
from sidecar.core.ports import MaySend


@dataclass
class FakePartner:
    """Issues `token-1`, `token-2`, …; `script` holds the outcomes of the next calls instead, in order."""

    can_refresh: bool = False
    latency_s: float = 0.2
    lifetime_s: float | None = None
    same_token: bool = False
    always: Callable[[], Awaitable[None]] | None = None
    script: deque[PartnerError | Callable[[], Awaitable[None]]] = field(default_factory=deque)
    calls: list[tuple[float, Operation]] = field(default_factory=list)
    secrets_seen: list[str] = field(default_factory=list)
    good_secrets: set[str] | None = None
    """The API secrets that are accepted; None accepts all."""

    @property
    def count(self) -> int:
        return len(self.calls)

    @property
    def current(self) -> str:
        return f"token-{self._issued}"

    async def called(self, times: int) -> None:
        """Wait until so many calls were made."""
        while self.count < times:
            await self._was_called.wait()

    _issued: int = 0
    _was_called: asyncio.Event = field(default_factory=asyncio.Event)

    async def grant(self, credentials: Credentials, role: str, may_send: MaySend) -> PartnerToken:
        secret = credentials.api_secret.reveal()
        self.secrets_seen.append(secret)
        return await self._answer(Operation.GRANT, role, may_send, secret)

    async def refresh(
        self, refresh_token: Secret, credentials: Credentials, role: str, may_send: MaySend
    ) -> PartnerToken:
        return await self._answer(Operation.REFRESH, role, may_send, None)

    async def _answer(self, operation: Operation, role: str, may_send: MaySend, secret: str | None) -> PartnerToken:
        loop = asyncio.get_running_loop()
        if not may_send():
            raise UnsentError
        self.calls.append((loop.time(), operation))
        self._was_called.set()
        self._was_called = asyncio.Event()
        await asyncio.sleep(self.latency_s)
        if self.always is not None:
            await self.always()
        if self.script:
            step = self.script.popleft()
            if isinstance(step, PartnerError):
                raise step
            await step()
        if secret is not None and self.good_secrets is not None and secret not in self.good_secrets:
            raise failure(FailureKind.UNAUTHORIZED, status=401)
        if not self.same_token or not self._issued:
            self._issued += 1
        refresh = Secret(f"refresh-{self._issued}") if self.can_refresh else None
        return PartnerToken(access=Secret(self.current), refresh=refresh, role=role, lifetime_s=self.lifetime_s)


def failure(kind: FailureKind, *, status: int = 500, retry_after_s: float | None = None) -> PartnerError:
    detail = PartnerDetail(status=status, error_code="E-1", error_message="no", session_id="S-1")
    return PartnerError(kind, detail, retry_after_s)


async def hang() -> None:
    """Never answer; the fake has no time limit."""
    await asyncio.sleep(10)
    raise failure(FailureKind.TIMEOUT)
