"""The whole page, and its style and script files."""

from __future__ import annotations

from types import MappingProxyType

from sidecar.web.admin.status_page.event_lines import event_line
from sidecar.web.admin.status_page.icon import icon
from sidecar.web.admin.status_page.markup import Markup, file, fill, joined
from sidecar.web.admin.status_page.profile_section import profile_section
from sidecar.web.admin.status_page.verdict import WORDS, Verdict, verdict_of, verdict_of_all
from sidecar.web.admin.status_page.words import Document, time_of
from sidecar.web.responses import Response, make_response

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


def file_answer(path: str) -> Response:
    """Return the style sheet or the script of the page."""
    return make_response(200, file(path.removeprefix("/")).encode(), content_type=_FILES[path], headers=HEADERS)


def page_answer(document: Document) -> Response:
    """Return the document of `/status.json` as a page."""
    return make_response(200, page(document).encode(), content_type="text/html; charset=utf-8", headers=HEADERS)


def page(document: Document) -> str:
    at = document["at"]
    verdicts = {name: verdict_of(profile, at) for name, profile in document["profiles"].items()}
    grade, sentence = verdict_of_all(document, verdicts)
    return fill(
        file("status.html"),
        version=document["version"],
        at=at,
        time=time_of(at, at),
        grade=grade,
        icon=icon(grade),
        word=WORDS[grade],
        sentence=sentence,
        links=_links(verdicts) if len(verdicts) > 1 else "",
        profiles=joined(
            profile_section(name, document["profiles"][name], verdict, at) for name, verdict in verdicts.items()
        ),
        events=joined(event_line(event, at) for event in reversed(document["events"])),
    )


def _links(verdicts: dict[str, Verdict]) -> Markup:
    """Return a link to each profile."""
    return joined(
        fill(file("link.html"), name=name, grade=verdict.grade, word=WORDS[verdict.grade])
        for name, verdict in verdicts.items()
    )
