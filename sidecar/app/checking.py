"""`token-sidecar check`: would a sidecar with these settings work here?"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass

from sidecar.app.accounts import assemble_account, credentials_source, open_settings_store
from sidecar.app.clock import SystemClock
from sidecar.config import ProfileSettings, Settings
from sidecar.core.errors import (
    ConfigurationError,
    CredentialsError,
    NoTokenError,
    StartingError,
    StoreError,
    WaitTimeoutError,
)
from sidecar.core.events import Event
from sidecar.partner.session import open_session
from sidecar.stores.opening import Store
from sidecar.telemetry.redaction import Redactor
from sidecar.vending.broker import Broker
from sidecar.vending.vendor import Vended


@dataclass(frozen=True, slots=True)
class CheckLine:
    """One thing that was looked at."""

    ok: bool
    what: str
    detail: str


class _Silence:
    """A check speaks through its lines."""

    def emit(self, event: Event) -> None: ...


async def check(settings: Settings, *, live: bool) -> list[CheckLine]:
    """Look at credentials and store, never at the partner; with `live` also obtain each profile's token.

    A live check takes the budgeted path of a running sidecar: where the store holds a token it is adopted, and a
    cool-down is kept.
    """
    lines = [_check_credentials(profile) for profile in settings.profiles]
    try:
        store = open_settings_store(settings, SystemClock())
    except ConfigurationError as error:
        return [*lines, *(CheckLine(False, "seal keys", problem) for problem in error.problems)]
    try:
        lines.append(await _check_store(store))
        if live and all(line.ok for line in lines):
            lines += [await _obtain(profile, store) for profile in settings.profiles]
    finally:
        await store.close()
    return lines


def _check_credentials(settings: ProfileSettings) -> CheckLine:
    what = f"credentials of profile {settings.profile.name}"
    try:
        credentials_source(settings, Redactor()).read()
    except CredentialsError as error:
        return CheckLine(False, what, str(error))
    return CheckLine(True, what, str(settings.credentials_dir or "from the environment"))


async def _check_store(store: Store) -> CheckLine:
    try:
        await store.ping()
    except StoreError as error:
        return CheckLine(False, f"store ({store.kind})", f"cannot be used: {error.cause}")
    return CheckLine(True, f"store ({store.kind})", "")


async def _obtain(settings: ProfileSettings, store: Store) -> CheckLine:
    what = f"token of profile {settings.profile.name}"
    session = open_session()
    clock = SystemClock()
    try:
        parts = assemble_account(
            settings,
            replica_id=f"{socket.gethostname()}-check-{clock.new_id()[:6]}",
            clock=clock,
            store=store,
            session=session,
            redactor=Redactor(),
            sink=_Silence(),
        )
        # The call may take longer than an app would wait; a person at a terminal does wait.
        async with asyncio.timeout(settings.profile.lease_limit_s):
            vended = await _patiently(parts.broker)
    except NoTokenError as error:
        return CheckLine(False, what, _explained(error))
    except TimeoutError:
        return CheckLine(False, what, "no answer within the lease limit")
    finally:
        await session.close()
    return CheckLine(True, what, f"token id {vended.token.token_id}, {vended.expires_in_s} s left")


async def _patiently(broker: Broker) -> Vended:
    while True:
        try:
            return await broker.vend()
        except (StartingError, WaitTimeoutError):
            continue


def _explained(error: NoTokenError) -> str:
    partner = error.partner
    said = "" if partner is None else f" (partner: {partner.status} {partner.error_code} {partner.session_id})".rstrip()
    return f"{error.code}: {error}{said}; try again in {max(1, round(error.retry_after_s))} s"
