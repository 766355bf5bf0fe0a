"""One running sidecar: builds all objects once, and opens and closes them in order."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TextIO

import aiohttp

from sidecar import __version__
from sidecar.app.clock import SystemClock
from sidecar.app.handlers import build_handlers
from sidecar.app.listeners import Listeners
from sidecar.app.observers import Observers
from sidecar.app.service_manager import Health, ServiceManager, words_of
from sidecar.app.settings_files import problems_with_files
from sidecar.app.token_files import TokenFiles
from sidecar.app.watched_files import WatchedFiles
from sidecar.app.wiring import Process, open_settings_store, partner_certificates
from sidecar.config.profiles import disagreements
from sidecar.config.schema import Settings
from sidecar.core.errors import ConfigurationError, CredentialsError
from sidecar.core.events import ConfigurationWarned, ServiceStarted, ServiceStopped, ServiceStopping
from sidecar.core.model import Address
from sidecar.core.ports import Clock
from sidecar.partner.transport import open_session
from sidecar.stores.factory import Store
from sidecar.vending.local_budget import LocalBudgets
from sidecar.vending.profile_provider import ProfileProvider
from sidecar.vending.refresher import Beat
from sidecar.web.admin.app import AdminApi, AdminSources

if TYPE_CHECKING:
    from sidecar.app.gateways import Gateways

STOP_GRACE_S = 0.5
"""The time limit of running requests after the drain."""


class Service:
    """`start`, then `drain` and `stop`. The same object serves production, the demo and the tests (on port 0)."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        log: TextIO | None = sys.stdout,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """`environ` has the variables of the service manager, if one gets notifications from the service."""
        self._settings = settings
        self._clock = clock if clock is not None else SystemClock()
        self.providers: dict[str, ProfileProvider] = {}
        self._observers = Observers(
            settings, self._clock, log, self.providers.values, lambda: self._listeners.connections()
        )
        self._sink = self._observers.sink
        self._listeners = Listeners(settings, self._sink)
        self._manager = ServiceManager(environ or {}, self._clock, self._warn)
        self._tasks: list[asyncio.Task[None]] = []
        self._token_files = TokenFiles(settings, self._observers.stalls, self._sink)
        self._follower_tasks: list[asyncio.Task[None]] = []
        self._draining = False
        self._request_timeout_s = max(profile.profile.request_timeout_s for profile in settings.profiles)
        self._first_timeout_at = self._clock.monotonic() + self._request_timeout_s
        self._release_logs: Callable[[], None] = lambda: None
        self._files = WatchedFiles(settings, self._observers)
        self._store: Store | None = None
        self._session: aiohttp.ClientSession | None = None
        self._gateways: Gateways | None = None

    @property
    def bound(self) -> tuple[Address, ...]:
        """The addresses of the vending listener, with real ports."""
        return self._listeners.bound

    @property
    def admin_bound(self) -> tuple[Address, ...]:
        return self._listeners.admin_bound

    @property
    def gateways_bound(self) -> dict[str, tuple[Address, ...]]:
        """The addresses of each profile's gateway."""
        return self._listeners.gateways_bound

    async def start(self) -> None:
        """Open everything. On `ConfigurationError` nothing stays open. An unreachable store is no error."""
        try:
            await self._open()
        except BaseException as error:
            await self._close()
            self._observers.close_log(STOP_GRACE_S)
            if isinstance(error, ConfigurationError):
                # Opening ends at the first of several files that cannot be used.
                all_problems = (*error.problems, *problems_with_files(self._settings))
                raise ConfigurationError(tuple(dict.fromkeys(all_problems))) from None
            raise
        for warning in (*self._settings.warnings, *self._observers.warnings, *self._listeners.warnings):
            self._warn(warning)
        self._sink.emit(
            ServiceStarted(
                version=__version__,
                listen=tuple(map(str, self.bound)),
                admin_listen=tuple(map(str, self.admin_bound)),
                store=self._store.kind if self._store is not None else "",
                profiles=tuple(self.providers),
                gateways=tuple(map(str, itertools.chain(*self.gateways_bound.values()))),
            )
        )

    async def _open(self) -> None:
        self._release_logs = self._observers.start_log()
        self._store = open_settings_store(self._settings, self._files.sealer(), self._clock, self._observers.stalls)
        self._session = open_session()
        self._assemble(self._store, self._session)
        admin = await self._listen()
        # Last: the partner is called only after every check of the settings has passed.
        self._tasks = [asyncio.create_task(provider.run()) for provider in self.providers.values()]
        self._follower_tasks = self._token_files.start()
        self._follower_tasks += [asyncio.create_task(watch) for watch in self._files.watch()]
        notifications = self._manager.run(lambda: self._health(admin), self._request_timeout_s)
        self._follower_tasks.append(asyncio.create_task(notifications))

    def _assemble(self, store: Store, session: aiohttp.ClientSession) -> None:
        self._certificates = partner_certificates(self._sink, self._observers.stalls)
        process = Process(
            replica_id=f"{socket.gethostname()}-{self._clock.new_id()[:6]}",
            clock=self._clock,
            store=store,
            session=session,
            certificates=self._certificates,
            redactor=self._observers.redactor,
            sink=self._sink,
            beat=Beat(self._clock),
            budgets=LocalBudgets(self._clock),
            stalls=self._observers.stalls,
            corrects_clock=self._settings.clock == "partner",
        )
        problems = []
        for profile in self._settings.profiles:
            try:
                provider = process.open_profile(profile)
                self._token_files.open(profile, provider)
            except CredentialsError as error:
                problems += [f"profile {profile.profile.name}: {problem}" for problem in error.problems]
            except ConfigurationError as error:
                problems += error.problems
            else:
                self.providers[profile.profile.name] = provider
        problems += disagreements(provider.profile for provider in self.providers.values())
        if problems:
            raise ConfigurationError(problems)

    async def _listen(self) -> AdminApi:
        handlers = build_handlers(
            self._settings, self._observers, self._clock, self.providers, self._files.caller_tokens()
        )
        gateways = self._gateways = handlers.open_gateways(self._certificates)
        sources = AdminSources(
            render_metrics=self._observers.metrics.render,
            recent_events=self._observers.recent,
            wall=self._clock.wall,
            failure=self._restart_reason,
            is_draining=lambda: self._draining,
            token_file_state=self._token_files.state,
            has_waited=self._first_timeout_passed,
            stalled_files=self._observers.stalls,
            # A partner without a recipe has no signer.
            signatures=lambda profile: signer.made if (signer := handlers.signers.get(profile)) else 0,
            gateway=lambda profile: None if gateways is None else gateways.status(profile, self.gateways_bound),
        )
        admin = AdminApi(self.providers, sources)
        by_profile = {} if gateways is None else gateways.by_profile
        await self._listeners.open(handlers.tokens, admin, handlers.fast_path, by_profile)
        return admin

    def _first_timeout_passed(self) -> bool:
        """Return whether a request that waited since the start would have got its "no token" error by now."""
        return self._clock.monotonic() >= self._first_timeout_at

    def _restart_reason(self) -> str | None:
        """Return why the process should be restarted; None while the maintainer tasks run."""
        ended = [name for name, task in zip(self.providers, self._tasks, strict=True) if task.done()]
        return f"the maintainer of {', '.join(ended)} has ended" if ended else None

    def _health(self, admin: AdminApi) -> Health:
        shown = admin.snapshots()
        vended = (one.profile for one in shown if one.ready)
        missing = ((one.profile, one.why_not) for one in shown if not one.ready)
        return Health(started=admin.started(), alive=self._restart_reason() is None, words=words_of(vended, missing))

    def _warn(self, warning: str) -> None:
        self._sink.emit(ConfigurationWarned(warning=warning))

    def reread_credentials(self) -> None:
        """Reload the files of credentials, caller tokens and seal keys now (SIGHUP)."""
        self._files.look_now()
        for provider in self.providers.values():
            provider.reload_credentials()
        self._manager.reloading()

    def drain(self) -> None:
        """Make `/readyz` return 503, and close each connection after its next response. All else continues."""
        self._draining = True
        self._manager.stopping(self._settings.drain_s)
        self._listeners.drain()
        self._sink.emit(ServiceStopping(drain_s=self._settings.drain_s))

    async def stop(self) -> None:
        """Close everything within two seconds, and end a held lease."""
        await self._close()
        self._sink.emit(ServiceStopped())
        self._observers.close_log(STOP_GRACE_S)

    async def _close(self) -> None:
        # First: a closed token provider returns at once to every waiter, so a follower of changes would loop without
        # a pause. The token files stay, because apps run on after the sidecar.
        await self._cancel(self._follower_tasks)
        for provider in self.providers.values():
            provider.stop()
        if self._gateways is not None:
            await self._gateways.end_calls(STOP_GRACE_S)
        # Together: the response to a waiting caller depends on a refresh attempt that ends here.
        await asyncio.gather(
            *(provider.close() for provider in self.providers.values()), self._listeners.close(STOP_GRACE_S)
        )
        await self._cancel(self._tasks)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_GRACE_S):
                if self._gateways is not None:
                    await self._gateways.close()
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
