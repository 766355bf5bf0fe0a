"""Events in words: a sentence each, and what else there is to know."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from sidecar.web.admin.status_page.markup import Markup, file, fill, joined
from sidecar.web.admin.status_page.words import Document, failure, label, span, time_of

SENTENCES: Mapping[str, str] = MappingProxyType(
    {
        "service_started": "The sidecar {version} started",
        "service_stopping": "The sidecar stops; it vends for another {drainS}",
        "service_stopped": "The sidecar stopped",
        "configuration_warning": "{warning}",
        "log_lines_dropped": "Log lines were lost, since nobody read them: {log} of the log, {audit} of the audit",
        "partner_called": "The partner was asked for a token: {outcome}",
        "token_changed": "Apps get another token, {fetched}",
        "pause_started": "Nobody asks the partner for {pauseS}: {kind}",
        "lease_lost": "Our right to call ended before our work did ({stage})",
        "token_reported": "An app reported a token as refused; we said: {verdict}",
        "lifetime_learned": "Tokens are refused early: they are taken to live {learnedS}",
        "token_file_written": "The token is in its file",
        "token_file_removed": "The token file was removed",
        "token_file_changed": "Another process changed the token file ({change}); it is as it was again",
        "token_file_failed": "The token file cannot be written: {cause}",
        "file_stalled": "The file system hangs under a file: {file}",
        "file_stall_ended": "The file system answers again: {file}",
        "store_failed": "The store cannot be used ({operation}: {cause})",
        "store_recovered": "The store can be used again",
        "store_data_lost": "The store lost its data; it was told what we remember",
        "store_clock_stepped": "The clock of the store was set, by {stepS}",
        "stored_value_discarded": "A value in the store could not be used: {what}",
        "credentials_changed": "There are new credentials",
        "credentials_unreadable": "The credentials cannot be read: {problem}",
        "partner_certificates_changed": "Partner calls trust other certificates",
        "partner_certificates_unreadable": "Certificates cannot be read, those of before stay in use: {problem}",
        "seal_keys_changed": "Other seal keys are in use: {keyIds}",
        "seal_keys_unreadable": "The seal keys cannot be read, those of before stay in use: {problem}",
        "request_refused": "A caller was turned away: {code}",
        "malformed_request": "A request could not be read ({cause})",
        "limit_hit": "A connection went beyond a limit: {limit}",
        "internal_failure": "The sidecar has a bug, in {where}",
    }
)
"""By the name an event has in the log. In braces fields of the event, which are not told again after the sentence."""

_SHAPES = {"info": "info", "warning": "attention", "error": "bad"}
_ALWAYS_SHOWN = {"at", "event", "level", "count", "profile"}


def event_line(event: Document, at: str) -> Markup:
    """One item of the list, as of `at`."""
    sentence = SENTENCES.get(event["event"], event["event"].replace("_", " "))
    told = set(re.findall(r"{(\w+)}", sentence))
    what = re.sub(r"{(\w+)}", lambda found: _value(found[1], event.get(found[1], "?")), sentence)
    further = [
        fill("<li>$label $value</li>", label=label(name), value=_value_or_time(name, value, at))
        for name, value in event.items()
        if name not in _ALWAYS_SHOWN | told
    ]
    return fill(
        file("event.html"),
        key=" ".join(str(event.get(name, "")) for name in ("at", "event", "profile")),
        level=event["level"],
        shape=_SHAPES[event["level"]],
        time=time_of(event["at"], at),
        profile=event.get("profile", ""),
        what=what,
        times=f"{event['count']} times" if event["count"] > 1 else "",
        name=event["event"],
        further=joined(further),
    )


def _value_or_time(name: str, value: object, at: str) -> Markup | str:
    return time_of(str(value), at) if name.endswith("At") else _value(name, value)


def _value(name: str, value: object) -> str:
    if name == "fetched":
        return "fetched from the partner" if value else "taken over from the store"
    if name in ("kind", "outcome"):
        return failure(str(value))
    if isinstance(value, int | float) and name.endswith("S"):
        return span(value) if value >= 0 else f"-{span(-value)}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)
