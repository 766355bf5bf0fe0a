"""One running sidecar: everything built once, opened and closed in order."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TextIO

import aiohttp

from sidecar import __version__
from sidecar.app.accounts import Process, open_settings_store
from sidecar.app.clock import SystemClock
from sidecar.app.memory import give_back
from sidecar.app.observers import Observers
from sidecar.app.open_files import share_open_files
from sidecar.app.seal_keys import SealKeyFile
from sidecar.app.token_files import TokenFiles
from sidecar.config.settings import Settings
from sidecar.config.shared_accounts import disagreements
from sidecar.core.errors import ConfigurationError, CredentialsError
from sidecar.core.events import ConfigurationWarned, ServiceStarted, ServiceStopped, ServiceStopping
from sidecar.core.model import Address
from sidecar.core.ports import Clock
from sidecar.partner.presets import PRESETS
from sidecar.partner.session import open_session
from sidecar.stores.opening import Store
from sidecar.stores.seal import OpenSealer
from sidecar.vending.beat import Beat
from sidecar.vending.local_budget import LocalBudgets
from sidecar.vending.profile_vendor import ProfileVendor
from sidecar.web.admin_api import AdminApi
from sidecar.web.caller_token_file import CallerTokenFile
from sidecar.web.guards import Guards, GuardSettings
from sidecar.web.http_server import HttpServer
from sidecar.web.server import Listener
from sidecar.web.token_api import TokenApi
from sidecar.web.warm import WarmAnswers

STOP_GRACE_S = 0.5
"""How long running answers may take after the drain."""


class Service:
    """`start`, then `drain` and `stop`. The same object serves production, the demo and the tests (on port 0)."""

    def __init__(self, settings: Settings, *, clock: Clock | None = None, log: TextIO | None = sys.stdout) -> None:
        self._settings = settings
        self._clock = clock if clock is not None else SystemClock()
        self.vendors: dict[str, ProfileVendor] = {}
        self._observers = Observers(settings, self._clock, log, self.vendors.values, self._connections)
        self._sink = self._observers.sink
        self._tasks: list[asyncio.Task[None]] = []
        self._token_files = TokenFiles(settings, self._observers.stalls, self._sink)
        self._follower_tasks: list[asyncio.Task[None]] = []
        self._draining = False
        self._warnings: list[str] = []
        patience_s = max(profile.profile.request_timeout_s for profile in settings.profiles)
        self._patience_ends = self._clock.monotonic() + patience_s
        self._release_logs: Callable[[], None] = lambda: None
        self._seal_keys: SealKeyFile | None = None
        self._store: Store | None = None
        self._session: aiohttp.ClientSession | None = None
        self._vending: Listener | None = None
        self._admin: Listener | None = None

    @property
    def bound(self) -> tuple[Address, ...]:
        """Where tokens are vended, with real ports."""
        return self._vending.bound if self._vending is not None else ()

    @property
    def admin_bound(self) -> tuple[Address, ...]:
        return self._admin.bound if self._admin is not None else ()

    async def start(self) -> None:
        """Open everything. Raises `ConfigurationError` with nothing left open; an unreachable store is no error."""
        try:
            await self._open()
        except BaseException:
            await self._close()
            self._observers.close_log(STOP_GRACE_S)
            raise
        for warning in (*self._settings.warnings, *self._observers.warnings, *self._warnings):
            self._sink.emit(ConfigurationWarned(warning=warning))
        self._sink.emit(
            ServiceStarted(
                version=__version__,
                listen=tuple(map(str, self.bound)),
                admin_listen=tuple(map(str, self.admin_bound)),
                store=self._store.kind if self._store is not None else "",
                profiles=tuple(self.vendors),
            )
        )

    async def _open(self) -> None:
        self._release_logs = self._observers.start_log()
        if self._settings.seal_key_file is not None:
            self._seal_keys = SealKeyFile(self._settings.seal_key_file, self._sink)
        sealer = OpenSealer() if self._seal_keys is None else self._seal_keys.sealer
        self._store = open_settings_store(self._settings, sealer, self._clock)
        self._session = open_session()
        self._assemble(self._store, self._session)
        await self._listen()
        # Only now, when no wrong setting can stop us any more, may the partner hear of us.
        self._tasks = [asyncio.create_task(vendor.run()) for vendor in self.vendors.values()]
        self._follower_tasks = self._token_files.start()
        if self._seal_keys is not None:
            self._follower_tasks.append(asyncio.create_task(self._seal_keys.follow()))

    def _assemble(self, store: Store, session: aiohttp.ClientSession) -> None:
        process = Process(
            replica_id=f"{socket.gethostname()}-{self._clock.new_id()[:6]}",
            clock=self._clock,
            store=store,
            session=session,
            redactor=self._observers.redactor,
            sink=self._sink,
            beat=Beat(self._clock),
            budgets=LocalBudgets(self._clock),
            stalls=self._observers.stalls,
        )
        problems = []
        for profile in self._settings.profiles:
            try:
                vendor = process.open_profile(profile)
                self._token_files.open(profile, vendor)
            except CredentialsError as error:
                problems.append(f"profile {profile.profile.name}: {error}")
            except ConfigurationError as error:
                problems += error.problems
            else:
                self.vendors[profile.profile.name] = vendor
        problems += disagreements(vendor.profile for vendor in self.vendors.values())
        if problems:
            raise ConfigurationError(problems)

    async def _listen(self) -> None:
        headers = {name: PRESETS[vendor.profile.partner].token_header for name, vendor in self.vendors.items()}
        warm = self._warm_answers()
        tokens = TokenApi(self.vendors, self._guards(), self._sink, self._clock, headers, self._observers.audit, warm)
        admin = AdminApi(
            self.vendors,
            self._observers.metrics.render,
            self._observers.recent,
            self._clock.wall,
            self._ailment,
            lambda: self._draining,
            self._token_files.state,
            self._waited,
            self._observers.stalls,
        )
        limits = self._settings.limits
        shares = share_open_files(limits.max_connections)
        self._warnings += [shares.warning] if shares.warning else []
        for_vending, for_admin = (replace(limits, max_connections=share) for share in (shares.vending, shares.admin))
        self._vending = Listener(lambda: HttpServer(tokens, self._sink, "vending", for_vending, warm, give_back))
        self._admin = Listener(lambda: HttpServer(admin, self._sink, "admin", for_admin, dispersed=give_back))
        await self._admin.start(self._settings.admin_listen)
        await self._vending.start(self._settings.listen)

    def _warm_answers(self) -> WarmAnswers | None:
        """None where callers are told apart, or each request is told of."""
        settings = self._settings
        apart = settings.caller_token_file is not None or settings.allowed_uids is not None
        if not settings.warm or apart or self._observers.audit is not None or settings.log_level == "debug":
            return None
        return WarmAnswers(
            self._clock, self._observers.metrics.requests.tally, traced=self._observers.spans is not None
        )

    def _guards(self) -> Guards:
        settings = self._settings
        guard = GuardSettings(
            require_header=settings.require_header,
            allowed_hosts=settings.allowed_hosts,
            allowed_uids=settings.allowed_uids,
        )
        if settings.caller_token_file is not None:
            caller_tokens = CallerTokenFile(settings.caller_token_file, self._sink, self._observers.redactor.register)
            guard = replace(guard, caller_tokens=caller_tokens)
        return Guards(guard)

    def _connections(self) -> dict[str, int]:
        listeners = {"vending": self._vending, "admin": self._admin}
        return {name: listener.connections for name, listener in listeners.items() if listener is not None}

    def _waited(self) -> bool:
        """Whether an app that waited since the start would have been told by now that there is no token."""
        return self._clock.monotonic() >= self._patience_ends

    def _ailment(self) -> str | None:
        """Why the process should be restarted; None while its maintainers run."""
        ended = [name for name, task in zip(self.vendors, self._tasks, strict=True) if task.done()]
        return f"the maintainer of {', '.join(ended)} has ended" if ended else None

    def reread_credentials(self) -> None:
        """Look at the files of credentials and seal keys now (SIGHUP)."""
        if self._seal_keys is not None:
            self._seal_keys.reload()
        for vendor in self.vendors.values():
            vendor.reread_credentials()

    def drain(self) -> None:
        """`/readyz` turns 503; everything else goes on."""
        self._draining = True
        self._sink.emit(ServiceStopping(drain_s=self._settings.drain_s))

    async def stop(self) -> None:
        """Close everything, within two seconds; a held lease is ended."""
        await self._close()
        self._sink.emit(ServiceStopped())
        self._observers.close_log(STOP_GRACE_S)

    async def _close(self) -> None:
        # First: once everyone who waits is sent home, who waits for a change would ask again and again without rest.
        # The files stay, for apps live on after us.
        await self._cancel(self._follower_tasks)
        for vendor in self.vendors.values():
            vendor.stop()
        # Together: a flight that ends here is what a waiting caller's answer depends on.
        listeners = [listener.stop(STOP_GRACE_S) for listener in (self._vending, self._admin) if listener is not None]
        await asyncio.gather(*(vendor.close() for vendor in self.vendors.values()), *listeners)
        await self._cancel(self._tasks)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_GRACE_S):
                if self._session is not None:
                    await self._session.close()
                if self._store is not None:
                    await self._store.close()
        await self._observers.close(STOP_GRACE_S)
        self._release_logs()

    async def _cancel(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_GRACE_S)
