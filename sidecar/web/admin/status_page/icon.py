"""The page's icon, so that the browser's tab shows the state: a shape and a colour for each grade."""

from __future__ import annotations

from types import MappingProxyType
from urllib.parse import quote

from sidecar.web.admin.status_page.markup import fill
from sidecar.web.admin.status_page.verdict import Grade

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
