"""The whole page, and its style and script files.

The page's icon, so that the browser's tab shows the state: a shape and a colour for each grade.
"""

from __future__ import annotations

from types import MappingProxyType
from urllib.parse import quote

from sidecar.web.admin.status_page.markup import Document, Markup, file, fill, joined, time_of
from sidecar.web.admin.status_page.sections import event_line, profile_section
from sidecar.web.admin.status_page.verdict import WORDS, Grade, Verdict, verdict_of, verdict_of_all
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


def icon(grade: Grade) -> str:
    """Return a `data:` URL: it needs neither another request nor another path."""
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
