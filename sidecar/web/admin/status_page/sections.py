"""One profile as a section of the page.

Events in words: one sentence for each, and its other fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from sidecar.web.admin.status_page.markup import (
    Document,
    Markup,
    count,
    failure,
    file,
    fill,
    joined,
    label,
    seconds_to,
    span,
    time_of,
    until,
)
from sidecar.web.admin.status_page.verdict import WORDS, Verdict, next_call_at, next_step

_LEFT = '<rect class="left" height="100%" width="$width%" data-left="$left" data-of="$lifetime"/>'
_DUE = '<rect class="due" height="100%" width="3" x="$due%"/>'


def profile_section(name: str, profile: Document, verdict: Verdict, at: str) -> Markup:
    left_s = profile["expiresInSeconds"] or 0
    return fill(
        file("profile.html"),
        name=name,
        grade=verdict.grade,
        word=WORDS[verdict.grade],
        sentence=verdict.sentence,
        partner=profile["partner"],
        role=profile["role"],
        url=profile["baseUrl"],
        lifetime=int(profile["lifetimeSeconds"]),
        left=int(left_s),
        left_words=_left_words(profile, left_s),
        bar=_bar(profile, left_s, at),
        caption=_caption(profile, left_s, at),
        next=next_step(profile, at),
        troubles=joined(
            fill("<li><b>$what.</b> $further</li>", what=what[0].upper() + what[1:], further=further)
            for what, further in verdict.troubles
        ),
        facts=joined(fill("<div><dt>$term</dt><dd>$told</dd></div>", term=t, told=d) for t, d in _facts(profile, at)),
    )


def _left_words(profile: Document, left_s: float) -> str:
    if not profile["tokenId"]:
        return "no token"
    return f"{span(int(left_s))} of {span(profile['lifetimeSeconds'])} left"


def _caption(profile: Document, left_s: float, at: str) -> Markup:
    if not profile["tokenId"]:
        return Markup("no token")
    if left_s <= 0:
        return fill("expired at $time", time=time_of(profile["expiresAt"], at))
    return fill("<b>$count</b> left, until $time", count=count(left_s), time=time_of(profile["expiresAt"], at))


def _bar(profile: Document, left_s: float, at: str) -> Markup:
    """Return a bar of the token's remaining life, with a mark where the refresh is due."""
    lifetime_s = profile["lifetimeSeconds"] or 1

    def share(of_s: float) -> str:
        return f"{100 * min(1, max(0, of_s / lifetime_s)):.2f}"

    next_at = next_call_at(profile)
    due_s = left_s - seconds_to(next_at, at) if next_at else 0
    left = fill(_LEFT, width=share(left_s), left=left_s, lifetime=lifetime_s)
    return joined([left, fill(_DUE, due=share(due_s))] if 0 < due_s < lifetime_s else [left])


def _facts(profile: Document, at: str) -> Iterator[tuple[str, Markup | str]]:
    budget = profile["budget"]
    next_at = next_call_at(profile)
    yield "Next refresh", until(next_at, at) if next_at else "none"
    yield (
        "Cool-down",
        fill("until $when", when=until(profile["cooldownUntil"], at)) if profile["cooldownUntil"] else "none",
    )
    yield "Budget", f"{budget['remaining']} of {budget['calls']} calls left in {span(budget['windowSeconds'])}"
    yield "Lease holder", profile["leaseHolder"] or "none"
    learned_s = profile["learnedLifetimeSeconds"]
    yield "Learned lifetime", span(learned_s) if learned_s else "none"
    yield "Lifetime", f"{span(profile['lifetimeSeconds'])}, {profile['lifetime'] or 'assumed'}"
    yield "Token id", fill("<code>$id</code>", id=profile["tokenId"]) if profile["tokenId"] else "none"
    yield "Issued", time_of(profile["issuedAt"], at) if profile["issuedAt"] else "never"
    yield "Waiting apps", str(profile["waiters"])
    yield "Credentials", "valid" if profile["credentialsValid"] else "rejected or unreadable"
    yield "Store", "up" if profile["storeUp"] else "down"
    yield "Last error", _last_error(profile["lastError"], at)


def _last_error(error: Document | None, at: str) -> Markup | str:
    if error is None:
        return "none"
    partner = error["partner"] or {}
    said = "".join(f" · {value}" for value in partner.values() if value)
    return fill("$time: $why$said", time=time_of(error["at"], at), why=failure(error["kind"]), said=said)


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
