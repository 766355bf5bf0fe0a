"""`token-sidecar check`: tests whether a sidecar with these settings would work on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from sidecar.app.clock import SystemClock
from sidecar.app.live_check import obtain
from sidecar.app.observers import open_spans
from sidecar.app.shown_requests import shown_token_requests
from sidecar.app.token_files import leftovers_in_time, open_token_file
from sidecar.app.wiring import check_signing, credentials_source, open_settings_store, settings_sealer
from sidecar.config.profiles import disagreements
from sidecar.config.schema import Settings
from sidecar.config.settings import ProfileSettings
from sidecar.core.errors import ConfigurationError, CredentialsError
from sidecar.credentials.caller_token import first_caller_tokens
from sidecar.file_operations import FileStalls
from sidecar.stores.check import check_store
from sidecar.stores.factory import Store
from sidecar.telemetry.redaction import Redactor


@dataclass(frozen=True, slots=True)
class CheckLine:
    """The result of one check. A note is about something that could not be checked, or that does no harm now."""

    ok: bool
    what: str
    detail: str  # one line or several
    is_note: bool = False


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
    lines += [CheckLine(True, what, shown) for what, shown in shown_token_requests(settings)]
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
            for profile in settings.profiles:
                ok, detail = await obtain(profile, store)
                lines.append(CheckLine(ok, f"token of profile {profile.profile.name}", detail))
    finally:
        await store.close()
    return lines


def _check_credentials(settings: Settings) -> Iterator[CheckLine]:
    """Check each profile's credentials and the rules that profiles of one account share: the keys name the account."""
    profiles = []
    for one in settings.profiles:
        what = f"credentials of profile {one.profile.name}"
        try:
            check_signing(one.table)
            credentials = credentials_source(one, Redactor(), FileStalls()).read()
        except (CredentialsError, ConfigurationError) as error:
            yield CheckLine(False, what, str(error))
            yield from _check_gateway(one)
            continue
        profiles.append(replace(one.profile, account=one.profile.account or credentials.account))
        place = "" if one.credentials_dir is None else f" ({one.credentials_dir})"
        key = "without a" if credentials.signing_key is None else "with a"
        yield CheckLine(True, what, f"from {one.credentials_origin}{place}, {key} signing key")
        yield from _check_gateway(one, lacks_key=credentials.signing_key is None)
    for problem in disagreements(profiles):
        yield CheckLine(False, "profiles", problem)


def _check_gateway(settings: ProfileSettings, *, lacks_key: bool = False) -> Iterator[CheckLine]:
    if settings.gateway is None:
        return
    # Imported here: a sidecar without a gateway loads nothing of it.
    from sidecar.app.gateways import allow_list, refused_without_key

    what = f"gateway of profile {settings.profile.name}"
    try:
        allow = allow_list(settings)
    except ConfigurationError as error:
        yield from (CheckLine(False, what, problem) for problem in error.problems)
        return
    yield CheckLine(True, what, f"forwards {', '.join(map(str, allow.rules)) or 'nothing'}")
    if lacks_key and settings.table.sign is not None and (refused := refused_without_key(settings.gateway, allow)):
        yield CheckLine(True, what, refused, is_note=True)


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
