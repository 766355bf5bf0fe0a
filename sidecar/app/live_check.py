"""Obtains a token for `token-sidecar check --live`, in the same way as the service does."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace

from sidecar.app.clock import SystemClock
from sidecar.app.wiring import Process, partner_certificates
from sidecar.config.settings import ProfileSettings
from sidecar.core.errors import NoTokenError, StartingError, WaitTimeoutError
from sidecar.core.events import AttemptEnded, Event, PartnerCalled, StoredValueDiscarded, StoreFailed, StoreRecovered
from sidecar.core.model import StoreFailure
from sidecar.file_operations import FileStalls
from sidecar.partner.transport import open_session
from sidecar.stores.factory import Store
from sidecar.telemetry.redaction import Redactor
from sidecar.vending.api import TokenProvider, VendedToken
from sidecar.vending.local_budget import LocalBudgets
from sidecar.vending.refresher import Beat
from sidecar.web.responses import partner_document, whole_seconds


class _LastEvents:
    """The event sink of a check: keeps what the result is explained with."""

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


async def obtain(settings: ProfileSettings, store: Store) -> tuple[bool, str]:
    """Obtain a profile's token. Return whether it worked, and what there is to say about it.

    Only from the shared budget: a call on this replica's own share would not test the store.
    """
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


async def _vend(provider: TokenProvider, events: _LastEvents) -> tuple[bool, str]:
    """Vend a token. Waits up to the lease limit, longer than an app: a person at a terminal does wait."""
    limit_s = provider.profile.lease_limit_s
    try:
        async with asyncio.timeout(limit_s):
            vended = await _wait_for_token(provider)
            if not vended.suspect:
                # A token is vended before it is committed to the store.
                await events.flight_ended.wait()
    except NoTokenError as error:
        return False, _explain(error, events)
    except TimeoutError:
        return False, f"no token within {limit_s:g} s, the time limit of a partner call"
    if (fault := _fault(vended, events)) is not None:
        return False, fault
    source = "from the store, the partner was not called" if events.partner_call is None else "new, from the partner"
    return True, f"{source}; token id {vended.token.token_id}, {vended.expires_in_s} s left"


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
