"""`token-sidecar check`: tests whether a sidecar with these settings would work on this machine."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from sidecar.app.clock import SystemClock
from sidecar.app.observers import open_spans
from sidecar.app.token_files import leftovers_in_time, open_token_file
from sidecar.app.wiring import (
    Process,
    check_signing,
    credentials_source,
    open_settings_store,
    partner_certificates,
    settings_sealer,
)
from sidecar.config.profiles import disagreements
from sidecar.config.schema import Settings
from sidecar.config.settings import ProfileSettings
from sidecar.core.errors import (
    ConfigurationError,
    CredentialsError,
    NoTokenError,
    StartingError,
    WaitTimeoutError,
)
from sidecar.core.events import AttemptEnded, Event, PartnerCalled, StoredValueDiscarded, StoreFailed, StoreRecovered
from sidecar.core.model import StoreFailure
from sidecar.credentials.caller_token import first_caller_tokens
from sidecar.file_operations import FileStalls
from sidecar.partner.transport import open_session
from sidecar.stores.check import check_store
from sidecar.stores.factory import Store
from sidecar.telemetry.redaction import Redactor
from sidecar.vending.api import TokenProvider, VendedToken
from sidecar.vending.local_budget import LocalBudgets
from sidecar.vending.refresher import Beat
from sidecar.web.responses import partner_document, whole_seconds


@dataclass(frozen=True, slots=True)
class CheckLine:
    """The result of one check. A note is about something that could not be checked, or that does no harm now."""

    ok: bool
    what: str
    detail: str
    is_note: bool = False


class _LastEvents:
    """The event sink of a check: keeps what the check's lines need."""

    def __init__(self) -> None:
        self.partner_call: PartnerCalled | None = None
        self.store_failure: StoreFailed | None = None
        """The last failure; None after the store has recovered."""
        self.unsealable = False
        """Whether the store held a token sealed with another key."""
        self.flight_ended = asyncio.Event()
        """Set when a refresh attempt has ended with a token."""

    def emit(self, event: Event) -> None:
        match event:
            case PartnerCalled():
                self.partner_call = event
            case StoreFailed():
                self.store_failure = event
            case StoreRecovered():
                self.store_failure = None
            case StoredValueDiscarded(what="seal"):
                self.unsealable = True
            case AttemptEnded(result="fetched" | "adopted"):
                self.flight_ended.set()


async def check(settings: Settings, *, live: bool) -> list[CheckLine]:
    """Check the files and the store without a partner call; with `live` also obtain each profile's token.

    A live check spends the budget like a running sidecar: it adopts a token of the store and respects a cool-down.
    The listen addresses are not bound: a sidecar that runs on this machine may use them.
    """
    lines = [*_check_credentials(settings)]
    lines += _check_sink_files(settings)
    if (path := settings.caller_token_file) is not None:
        lines += _check_caller_tokens(path)
    if settings.traces:
        lines += await _check_traces()
    try:
        sealer = settings_sealer(settings)
    except ConfigurationError as error:
        return [*lines, *(CheckLine(False, "seal keys", problem) for problem in error.problems)]
    if settings.seal_key_file is not None:
        lines.append(CheckLine(True, "seal keys", str(settings.seal_key_file)))
    try:
        store = open_settings_store(settings, sealer, SystemClock(), FileStalls())
    except ConfigurationError as error:
        return [*lines, *(CheckLine(False, "store", problem) for problem in error.problems)]
    try:
        lines += await _check_store(settings, store)
        if live and all(line.ok for line in lines):
            lines += [await _obtain(profile, store) for profile in settings.profiles]
    finally:
        await store.close()
    return lines


def _check_credentials(settings: Settings) -> Iterator[CheckLine]:
    """Check each profile's credentials and the rules that profiles of one account share: the keys name the account."""
    profiles = []
    for one in settings.profiles:
        what = f"credentials of profile {one.profile.name}"
        try:
            check_signing(one.profile.partner)
            credentials = credentials_source(one, Redactor(), FileStalls()).read()
        except (CredentialsError, ConfigurationError) as error:
            yield CheckLine(False, what, str(error))
            continue
        profiles.append(replace(one.profile, account=one.profile.account or credentials.account))
        place = "" if one.credentials_dir is None else f" ({one.credentials_dir})"
        key = "without a" if credentials.signing_key is None else "with a"
        yield CheckLine(True, what, f"from {one.credentials_origin}{place}, {key} signing key")
    for problem in disagreements(profiles):
        yield CheckLine(False, "profiles", problem)


def _check_sink_files(settings: Settings) -> Iterator[CheckLine]:
    for one in settings.profiles:
        what = f"token file of profile {one.profile.name}"
        try:
            if open_token_file(one) is not None:
                yield CheckLine(True, what, str(one.sink_file))
        except ConfigurationError as error:
            yield CheckLine(False, what, "; ".join(error.problems))
    for warning in leftovers_in_time(settings):
        yield CheckLine(True, "token files", warning, is_note=True)


def _check_caller_tokens(path: Path) -> list[CheckLine]:
    try:
        first_caller_tokens(path)
    except ConfigurationError as error:
        return [CheckLine(False, "caller token", problem) for problem in error.problems]
    return [CheckLine(True, "caller token", str(path))]


async def _check_traces() -> list[CheckLine]:
    """Check whether traces can be sent, without a request to the collector. Traces stop nothing, so each is a note."""
    spans, warnings = open_spans(SystemClock())
    if spans is not None:
        await spans.close(limit_s=1)
    return [CheckLine(True, "traces", warning, is_note=True) for warning in warnings]


async def _check_store(settings: Settings, store: Store) -> list[CheckLine]:
    """Return one line for each problem of the store; each line names the address."""
    found = await check_store(store, settings.store, timeout_s=settings.store_timeout_s, clock=SystemClock())
    what = f"store ({store.kind})"
    lines = [CheckLine(each.is_note, what, str(each), each.is_note) for each in found]
    return [*lines, CheckLine(True, what, "")] if all(line.ok for line in lines) else lines


async def _obtain(settings: ProfileSettings, store: Store) -> CheckLine:
    """Obtain a token from the shared budget only: a call on this replica's own share would not test the store."""
    settings = replace(settings, profile=replace(settings.profile, store_failure=StoreFailure.FAIL))
    session, clock, events, stalls = open_session(), SystemClock(), _LastEvents(), FileStalls()
    try:
        process = Process(
            replica_id=f"{socket.gethostname()}-check-{clock.new_id()[:6]}",
            clock=clock,
            store=store,
            session=session,
            certificates=partner_certificates(events, stalls),
            redactor=Redactor(),
            sink=events,
            beat=Beat(clock),
            budgets=LocalBudgets(clock),
            stalls=stalls,
        )
        provider = process.open_profile(settings)
        try:
            return await _vend(provider, events)
        finally:
            await provider.close()
    finally:
        await session.close()


async def _vend(provider: TokenProvider, events: _LastEvents) -> CheckLine:
    """Vend a token. Waits up to the lease limit, longer than an app: a person at a terminal does wait."""
    what, limit_s = f"token of profile {provider.profile.name}", provider.profile.lease_limit_s
    try:
        async with asyncio.timeout(limit_s):
            vended = await _wait_for_token(provider)
            if not vended.suspect:
                # A token is vended before it is committed to the store.
                await events.flight_ended.wait()
    except NoTokenError as error:
        return CheckLine(False, what, _explain(error, events))
    except TimeoutError:
        return CheckLine(False, what, f"no token within {limit_s:g} s, the time limit of a partner call")
    if (fault := _fault(vended, events)) is not None:
        return CheckLine(False, what, fault)
    source = "from the store, the partner was not called" if events.partner_call is None else "new, from the partner"
    return CheckLine(True, what, f"{source}; token id {vended.token.token_id}, {vended.expires_in_s} s left")


def _fault(vended: VendedToken, events: _LastEvents) -> str | None:
    """Return the fault that would harm a fleet although a token was vended; None when there is none."""
    if vended.suspect:
        return "the token in the store is suspect, and no other is available now"
    if events.store_failure is not None:
        return f"got a token, but the store failed: {_describe(events.store_failure)}"
    if events.unsealable:
        return "got a token, but it replaced one of the fleet that these seal keys cannot decrypt"
    return None


def _describe(failure: StoreFailed) -> str:
    return f"{failure.operation} failed ({failure.cause})"


async def _wait_for_token(provider: TokenProvider) -> VendedToken:
    while True:
        try:
            return await provider.vend()
        except (StartingError, WaitTimeoutError):
            continue


def _explain(error: NoTokenError, events: _LastEvents) -> str:
    """Return in one line the caller's error, the exception's class if no response came, and the partner's details."""
    line = f"{error} ({error.code})"
    if (call := events.partner_call) is not None:
        line += f"; cause: {call.cause}" if call.cause else ""
        line += f"; problem: {call.problem}" if call.problem else ""
    if events.store_failure is not None:
        line += f"; store: {_describe(events.store_failure)}"
    if error.partner is not None:
        line += "; partner: " + ", ".join(f"{key} {value}" for key, value in partner_document(error.partner).items())
    return f"{line}; try again in {whole_seconds(error.retry_after_s)} s"
