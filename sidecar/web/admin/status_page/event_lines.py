"""Events in words: one sentence for each, and its other fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from sidecar.web.admin.status_page.markup import Markup, file, fill, joined
from sidecar.web.admin.status_page.words import Document, failure, label, span, time_of

SENTENCES: Mapping[str, str] = MappingProxyType(
    {
        "service_started": "Sidecar {version} started",
        "service_stopping": "Sidecar is stopping, it serves tokens for another {drainS}",
        "service_stopped": "Sidecar stopped",
        "configuration_warning": "{warning}",
        "log_lines_dropped": "Log lines were dropped because the output was not read: {log} log, {audit} audit",
        "partner_called": "Partner call: {outcome}",
        "token_changed": "Apps get a new token, {fetched}",
        "pause_started": "Partner calls paused for {pauseS}: {kind}",
        "lease_lost": "Lease lost ({stage})",
        "token_reported": "An app reported a refused token: {verdict}",
        "lifetime_learned": "Tokens were refused early: learned lifetime is {learnedS}",
        "token_file_written": "Token file written",
        "token_file_removed": "Token file removed",
        "token_file_changed": "Another process changed the token file ({change}), it was restored",
        "token_file_failed": "Token file cannot be written: {cause}",
        "file_stalled": "File system does not respond: {file}",
        "file_stall_ended": "File system responds again: {file}",
        "store_failed": "Store unavailable ({operation}: {cause})",
        "store_recovered": "Store available again",
        "store_data_lost": "Store lost its data, this replica restored its copy",
        "store_clock_stepped": "Store clock stepped by {stepS}",
        "stored_value_discarded": "Stored value discarded: {what}",
        "credentials_changed": "Credentials changed",
        "credentials_unreadable": "Credentials cannot be read: {problem}",
        "partner_certificates_changed": "Trusted certificates for partner calls changed",
        "partner_certificates_unreadable": "Certificates cannot be read, the previous ones stay in use: {problem}",
        "seal_keys_changed": "Seal keys changed: {keyIds}",
        "seal_keys_unreadable": "Seal keys cannot be read, the previous ones stay in use: {problem}",
        "request_refused": "Request refused: {code}",
        "malformed_request": "Malformed request ({cause})",
        "limit_hit": "A connection exceeded a limit: {limit}",
        "internal_failure": "Internal error in {where}",
    }
)
"""By the event's name in the log. Braces hold fields of the event; these are not repeated after the sentence."""

_SHAPES = {"info": "info", "warning": "attention", "error": "bad"}
_ALWAYS_SHOWN = {"at", "event", "level", "count", "profile"}


def event_line(event: Document, at: str) -> Markup:
    """Return one item of the list, as of `at`."""
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
        return "fetched from the partner" if value else "read from the store"
    if name in ("kind", "outcome"):
        return failure(str(value))
    if isinstance(value, int | float) and name.endswith("S"):
        return span(value) if value >= 0 else f"-{span(-value)}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)
