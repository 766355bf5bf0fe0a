"""One profile and the changes of its API key.

Each account has its own broker, refresher and state in the store. A new key is another account, unless the operator
named the account. It is tried beside the current one. The old key stays in use until the new one has a token.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from sidecar.core.errors import BadRequestError, NoTokenError
from sidecar.core.events import CredentialsChanged
from sidecar.core.model import Credentials, MonotonicTime, Profile, Seconds, Secret, Token
from sidecar.core.policy import Condition
from sidecar.core.ports import Clock, CredentialsSource, EventSink
from sidecar.vending.api import Report, Snapshot, VendedToken
from sidecar.vending.assembly import Account, AccountCredentials, Assembly
from sidecar.vending.partner_clock import PartnerClock


class ProfileProvider:
    """A `TokenProvider`. Uses the broker of the current account. Repeats a request if the account changed meanwhile."""

    def __init__(
        self,
        profile: Profile,
        source: CredentialsSource,
        build: Callable[[Profile, CredentialsSource], Assembly],
        clock: Clock,
        sink: EventSink,
        partner_clock: PartnerClock,
        *,
        has_recipe: bool = True,
    ) -> None:
        """`build` assembles one account, whose calls measure `partner_clock`. Raises `CredentialsError`."""
        self._profile = profile
        self._source = source
        self._build = build
        self._clock = clock
        self._sink = sink
        self.partner_clock = partner_clock
        self._has_recipe = has_recipe
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._replaced: set[Account] = set()
        """Accounts that are being closed."""
        self._current = self._open(source.read())
        self._current.credentials.reads = True
        self._tried: Account | None = None
        """The account of the newest key, while it has no token."""

    @property
    def profile(self) -> Profile:
        return self._current.parts.broker.profile

    @property
    def signing_key(self) -> Secret | None:
        """The signing key beside the credentials of the current account; None where it has no use."""
        return self._current.credentials.latest.signing_key if self._has_recipe else None

    # -- vending ------------------------------------------------------------------------------------------------------

    def current(self) -> VendedToken | None:
        return self._current.parts.broker.current()

    def holds(self, token: Token) -> bool:
        return self._current.parts.broker.holds(token)

    async def vend(self, min_ttl_s: Seconds = 0) -> VendedToken:
        until = self._clock.monotonic() + self._profile.request_timeout_s
        while True:
            current = self._current
            vended = await current.vend(min_ttl_s)
            is_good = isinstance(vended, VendedToken) and not vended.suspect
            if current is self._current and self._tried is not None and not is_good:
                # The current key brings no good token now.
                suspect_will_do = isinstance(vended, NoTokenError)
                error = await self._wait_for(self._tried, min_ttl_s, until, suspect_will_do=suspect_will_do)
                if isinstance(vended, NoTokenError) and error is not None:
                    vended = min(vended, error, key=lambda one: one.retry_after_s)
            if current is self._current:
                if isinstance(vended, NoTokenError):
                    raise vended
                return vended

    async def _wait_for(
        self, tried: Account, min_ttl_s: Seconds, until: MonotonicTime, *, suspect_will_do: bool
    ) -> NoTokenError | None:
        """Wait for the tried account's token, and switch to that account. Return its error when it has no token."""
        try:
            async with asyncio.timeout(until - self._clock.monotonic()):
                vended = await tried.vend(min_ttl_s)
        except (TimeoutError, BadRequestError):
            return None
        if isinstance(vended, NoTokenError):
            return vended
        if tried is self._tried and (suspect_will_do or not vended.suspect):
            self._switch_to(tried)
        return None

    async def changed(self, token_id: str, wait_s: Seconds) -> bool:
        until = self._clock.monotonic() + wait_s
        while True:
            current = self._current
            changed = await current.parts.broker.changed(token_id, max(0, until - self._clock.monotonic()))
            if current is self._current:
                return changed

    async def report(self, token_id: str) -> Report:
        while True:
            current = self._current
            report = await current.parts.broker.report(token_id)
            if current is self._current:
                return report

    def snapshot(self) -> Snapshot:
        """Return the current account's snapshot, or the tried one's if the current has no token; problems of both."""
        return replace(self._snapshot(), signs=self.signing_key is not None, clock_offset_s=self.partner_clock.offset_s)

    def _snapshot(self) -> Snapshot:
        shown = self._current.parts.broker.snapshot()
        if self._tried is None:
            return shown
        tried = self._tried.parts.broker.snapshot()
        failures = [failure for failure in (shown.last_failure, tried.last_failure) if failure is not None]
        return replace(
            tried if shown.condition is Condition.EXPIRED else shown,
            ready=shown.ready or tried.ready,
            last_success_at=max(shown.last_success_at, tried.last_success_at),
            waiters=shown.waiters + tried.waiters,
            credentials_valid=shown.credentials_valid and tried.credentials_valid,
            last_failure=max(failures, key=lambda failure: failure.at, default=None),
            has_outcome=shown.has_outcome or tried.has_outcome,
        )

    # -- running ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Replace the token before it expires, until `stop`."""
        self._start(self._current)
        ended: Account | None = None
        try:
            while ended is not self._current:
                ended = self._current
                if ended.task is not None:
                    await asyncio.wait({ended.task})
        finally:
            tasks = tuple(self._tasks)
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)

    def reload_credentials(self) -> None:
        self._current.parts.refresher.reload_credentials()

    def stop(self) -> None:
        self._stopping = True
        for account in self._accounts():
            account.parts.refresher.stop()

    async def close(self) -> None:
        """Answer all waiting callers, and end running calls."""
        await asyncio.gather(*(account.parts.broker.close() for account in self._accounts()))

    def _accounts(self) -> list[Account]:
        return [self._current, *([] if self._tried is None else [self._tried]), *self._replaced]

    def _open(self, credentials: Credentials) -> Account:
        name = self._account_of(credentials)
        source = AccountCredentials(credentials, self._source, self._found)
        return Account(name=name, credentials=source, parts=self._build(replace(self._profile, account=name), source))

    def _account_of(self, credentials: Credentials) -> str:
        return self._profile.account or credentials.account

    def _start(self, account: Account) -> None:
        account.task = self._spawn(account.parts.refresher.run())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # -- another key --------------------------------------------------------------------------------------------------

    def _found(self, credentials: Credentials) -> None:
        """Take the credentials that the source holds now."""
        name, tried = self._account_of(credentials), self._tried
        if name == self._current.name:
            self._current.credentials.latest = credentials
            if tried is not None:
                self._give_up(tried)
                self._tell_change(credentials)
        elif tried is not None and tried.name == name:
            tried.take_callers_of(self._current)
            if tried.credentials.latest.credentials_id != credentials.credentials_id:
                tried.credentials.latest = credentials
                tried.parts.refresher.reload_credentials()
        elif not self._stopping:
            if tried is not None:
                self._give_up(tried)
            self._try(credentials)

    def _tell_change(self, credentials: Credentials) -> None:
        self._sink.emit(CredentialsChanged(profile=self._profile.name, credentials_id=credentials.credentials_id))

    def _try(self, credentials: Credentials) -> None:
        """Look for the new account's token in the store. If there is none, the fleet makes one call for it."""
        self._tell_change(credentials)
        self._tried = tried = self._open(credentials)
        tried.take_callers_of(self._current)
        tried.parts.outage.stand_in_for(self._current.parts.outage)
        self._start(tried)
        self._spawn(self._watch(tried))

    async def _watch(self, tried: Account) -> None:
        """Switch to the account once it has a good token."""
        while tried is self._tried and not self._stopping:
            if tried.parts.broker.has_good_token:
                self._switch_to(tried)
                return
            # The held token's condition may change too, and sets no event.
            await tried.parts.broker.changed(tried.parts.replica.token_id, self._profile.poll_s)

    def _switch_to(self, tried: Account) -> None:
        replaced, self._current, self._tried = self._current, tried, None
        replaced.credentials.reads, tried.credentials.reads = False, True
        tried.take_callers_of(replaced)
        tried.parts.outage.stand_in_for(None)
        self._start_closing(replaced)

    def _give_up(self, tried: Account) -> None:
        self._tried = None
        self._start_closing(tried)

    def _start_closing(self, account: Account) -> None:
        """Close the account. Its waiting callers are answered, and the current account is asked for them."""
        account.parts.refresher.stop()
        self._replaced.add(account)

        async def close() -> None:
            await account.parts.broker.close()
            self._replaced.discard(account)

        self._spawn(close())
