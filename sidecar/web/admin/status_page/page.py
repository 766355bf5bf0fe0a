"""The whole page: its icon, the profiles, the latest events in words; and its style and script files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import quote

from sidecar.web.admin.status_page.markup import Document, Markup, failure, file, fill, joined, label, span, time_of
from sidecar.web.admin.status_page.profile import GRADES, WORDS, Grade, Verdict, profile_section, verdict_of
from sidecar.web.responses import Response, make_response

_SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path fill="$colour" d="$outline"/></svg>'
_CIRCLE = "M8 0a8 8 0 1 0 0 16A8 8 0 0 0 8 0Z"
_SHAPES: MappingProxyType[Grade, tuple[str, str]] = MappingProxyType(
    {
        "good": ("#2f9e6b", _CIRCLE),
        "resting": ("#7b8794", _CIRCLE),
        "attention": ("#d97a06", "M8 .5 16 15H0Z"),
        "bad": ("#d63b40", "M5 0h6l5 5v6l-5 5H5l-5-5V5Z"),
    }
)
"""The colours are visible on light and on dark tabs."""


def _icon(grade: Grade) -> str:
    """Return the icon of the browser's tab as a `data:` URL: it needs neither another request nor another path."""
    colour, outline = _SHAPES[grade]
    return f"data:image/svg+xml,{quote(fill(_SVG, colour=colour, outline=outline))}"


_POLICY = "; ".join(
    (
        "default-src 'none'",
        *(f"{what} 'self'" for what in ("script-src", "style-src", "connect-src")),
        "img-src data:",
        *(f"{what} 'none'" for what in ("base-uri", "form-action", "frame-ancestors")),
    )
)
HEADERS = MappingProxyType(
    {
        "Content-Security-Policy": _POLICY,
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
)
_FILES = MappingProxyType(
    {
        "/status.css": "text/css; charset=utf-8",
        "/status.js": "text/javascript; charset=utf-8",
    }
)


def file_response(path: str) -> Response:
    """Return the style sheet or the script of the page."""
    return make_response(200, file(path.removeprefix("/")).encode(), content_type=_FILES[path], headers=HEADERS)


def page_response(document: Document) -> Response:
    """Return the document of `/status.json` as a page."""
    return make_response(200, page(document).encode(), content_type="text/html; charset=utf-8", headers=HEADERS)


def page(document: Document) -> str:
    at = document["at"]
    verdicts = {name: verdict_of(profile, at) for name, profile in document["profiles"].items()}
    grade, sentence = _verdict_of_all(document, verdicts)
    return fill(
        file("status.html"),
        version=document["version"],
        at=at,
        time=time_of(at, at),
        grade=grade,
        icon=_icon(grade),
        word=WORDS[grade],
        sentence=sentence,
        links=_links(verdicts) if len(verdicts) > 1 else "",
        profiles=joined(
            profile_section(name, document["profiles"][name], verdict, at) for name, verdict in verdicts.items()
        ),
        events=joined(_event_line(event, at) for event in reversed(document["events"])),
    )


def _links(verdicts: dict[str, Verdict]) -> Markup:
    """Return a link to each profile."""
    return joined(
        fill(file("link.html"), name=name, grade=verdict.grade, word=WORDS[verdict.grade])
        for name, verdict in verdicts.items()
    )


def _verdict_of_all(document: Document, verdicts: dict[str, Verdict]) -> tuple[Grade, str]:
    """Return the worst grade, and a sentence that names every profile with a problem."""
    if document["draining"]:
        return "attention", "The sidecar is shutting down. Tokens are still served"
    worst = max((verdict.grade for verdict in verdicts.values()), key=GRADES.index)
    if len(verdicts) == 1:
        return worst, next(iter(verdicts.values())).sentence
    without = ", ".join(name for name, verdict in verdicts.items() if verdict.grade == "bad")
    doubtful = ", ".join(name for name, verdict in verdicts.items() if verdict.grade == "attention")
    if without:
        return worst, f"Apps get no token for {without}" + (f"; look at {doubtful} too" if doubtful else "")
    if doubtful:
        return worst, f"Apps get their tokens, but look at {doubtful}"
    return "good", "Apps get good tokens"


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
        "signing_key_changed": "Signing key {present}",
        "partner_clock_differs": "Partner clock is ahead of ours by {offsetS}, and signatures are not corrected",
        "signed_request_refused": "Signed request refused with 400, the token was {tokenAgeS} old",
        "partner_outcome_unknown": "Outcome of {method} {path} at the partner is not known: {cause}",
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

_LEVEL_SHAPES = {"info": "info", "warning": "attention", "error": "bad"}
_ALWAYS_SHOWN = {"at", "event", "level", "count", "profile"}


def _event_line(event: Document, at: str) -> Markup:
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
        shape=_LEVEL_SHAPES[event["level"]],
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
    if name == "present":
        return "changed" if value else "removed"
    if name in ("kind", "outcome"):
        return failure(str(value))
    if isinstance(value, int | float) and name.endswith("S"):
        return span(value) if value >= 0 else f"-{span(-value)}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)
