"""`token-sidecar check`: would a sidecar with these settings work here?"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from sidecar.app.accounts import (
    Process,
    credentials_source,
    open_settings_store,
    open_token_file,
    settings_sealer,
)
from sidecar.app.clock import SystemClock
from sidecar.config.settings import ProfileSettings, Settings
from sidecar.config.shared_accounts import disagreements
from sidecar.core.errors import (
    ConfigurationError,
    CredentialsError,
    NoTokenError,
    StartingError,
    StoreError,
    WaitTimeoutError,
)
from sidecar.core.events import Event, PartnerCalled
from sidecar.partner.session import open_session
from sidecar.stores.opening import Store
from sidecar.telemetry.redaction import Redactor
from sidecar.vending.beat import Beat
from sidecar.vending.local_budget import LocalBudgets
from sidecar.vending.vendor import Vended, Vendor
from sidecar.web.caller_token_file import CallerTokenFile
from sidecar.web.problems import partner_document, whole_seconds


@dataclass(frozen=True, slots=True)
class CheckLine:
    """One thing that was looked at."""

    ok: bool
    what: str
    detail: str


class _Listening:
    """The sink of a check, which speaks through its lines: it remembers how the last partner call ended."""

    def __init__(self) -> None:
        self.last: PartnerCalled | None = None

    def emit(self, event: Event) -> None:
        if isinstance(event, PartnerCalled):
            self.last = event


async def check(settings: Settings, *, live: bool) -> list[CheckLine]:
    """Look at files and store, never at the partner; with `live` also obtain each profile's token.

    A live check takes the budgeted path of a running sidecar: where the store holds a token it is adopted, and a
    cool-down is kept. Addresses are not tried: the sidecar that runs here may hold them.
    """
    lines = [_check_credentials(profile) for profile in settings.profiles]
    lines += _check_accounts(settings)
    lines += [_check_sink_file(profile) for profile in settings.profiles if profile.sink_file is not None]
    if settings.caller_token_file is not None:
        lines.append(_check_caller_token(settings.caller_token_file))
    try:
        sealer = settings_sealer(settings)
    except ConfigurationError as error:
        return [*lines, *(CheckLine(False, "seal keys", problem) for problem in error.problems)]
    if settings.seal_key_file is not None:
        lines.append(CheckLine(True, "seal keys", str(settings.seal_key_file)))
    try:
        store = open_settings_store(settings, sealer, SystemClock())
    except ConfigurationError as error:
        return [*lines, *(CheckLine(False, "store", problem) for problem in error.problems)]
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
    place = "" if settings.credentials_dir is None else f" ({settings.credentials_dir})"
    return CheckLine(True, what, f"from {settings.credentials_origin}{place}")


def _check_accounts(settings: Settings) -> Iterator[CheckLine]:
    """What profiles of one account must agree on: which they are is known once the keys are read."""
    profiles = []
    for one in settings.profiles:
        with contextlib.suppress(CredentialsError):
            pair = credentials_source(one, Redactor()).read()
            profiles.append(replace(one.profile, account=one.profile.account or pair.account))
    for problem in disagreements(profiles):
        yield CheckLine(False, "profiles", problem)


def _check_sink_file(settings: ProfileSettings) -> CheckLine:
    what = f"token file of profile {settings.profile.name}"
    try:
        open_token_file(settings)
    except ConfigurationError as error:
        return CheckLine(False, what, "; ".join(error.problems))
    return CheckLine(True, what, str(settings.sink_file))


def _check_caller_token(path: Path) -> CheckLine:
    try:
        CallerTokenFile(path, _Listening())
    except ConfigurationError as error:
        return CheckLine(False, "caller token", "; ".join(error.problems))
    return CheckLine(True, "caller token", str(path))


async def _check_store(store: Store) -> CheckLine:
    try:
        await store.ping()
    except StoreError as error:
        words = f"; {error.words}" if error.words else ""
        return CheckLine(False, f"store ({store.kind})", f"cannot be used: {error.cause}{words}")
    return CheckLine(True, f"store ({store.kind})", "")


async def _obtain(settings: ProfileSettings, store: Store) -> CheckLine:
    session, clock, heard = open_session(), SystemClock(), _Listening()
    try:
        process = Process(
            replica_id=f"{socket.gethostname()}-check-{clock.new_id()[:6]}",
            clock=clock,
            store=store,
            session=session,
            redactor=Redactor(),
            sink=heard,
            beat=Beat(clock),
            budgets=LocalBudgets(clock),
        )
        vendor = process.open_profile(settings)
        try:
            return await _vend(vendor, heard)
        finally:
            await vendor.close()
    finally:
        await session.close()


async def _vend(vendor: Vendor, heard: _Listening) -> CheckLine:
    """The call may take longer than an app would wait; a person at a terminal does wait."""
    what, limit_s = f"token of profile {vendor.profile.name}", vendor.profile.lease_limit_s
    try:
        async with asyncio.timeout(limit_s):
            vended = await _patiently(vendor)
    except NoTokenError as error:
        return CheckLine(False, what, _explained(error, heard))
    except TimeoutError:
        return CheckLine(False, what, f"none within {limit_s:g} s, the longest a partner call may take")
    if vended.suspect:
        return CheckLine(False, what, "the store holds one that is suspect, and no other can be had now")
    source = "the store held it, the partner was not called" if heard.last is None else "the partner gave it now"
    return CheckLine(True, what, f"{source}; token id {vended.token.token_id}, {vended.expires_in_s} s left")


async def _patiently(vendor: Vendor) -> Vended:
    while True:
        try:
            return await vendor.vend()
        except (StartingError, WaitTimeoutError):
            continue


def _explained(error: NoTokenError, heard: _Listening) -> str:
    """In one line: what a caller would get, the exception's class where no answer came, and what the partner said."""
    line = f"{error} ({error.code})"
    if heard.last is not None and heard.last.cause:
        line += f"; cause: {heard.last.cause}"
    if error.partner is not None:
        line += "; partner: " + ", ".join(f"{key} {value}" for key, value in partner_document(error.partner).items())
    return f"{line}; try again in {whole_seconds(error.retry_after_s)} s"
