"""The target of a request, by its raw bytes: nothing is unquoted, nothing normalised."""

from __future__ import annotations

import re

from aiohttp.web_request import BaseRequest

_ABSOLUTE = re.compile(r"https?://([^/?#]*)", re.IGNORECASE)
"""The form that requests to a proxy have; every server takes it, too (RFC 9112 section 3.2.2)."""


def authority_of(request: BaseRequest) -> str:
    """Return the host and port of a target in absolute form; empty for the usual target, which is a path."""
    form = None if request.raw_path.startswith("/") else _ABSOLUTE.match(request.raw_path)
    # What is no host and port of ours must not look like the usual target, so never empty.
    return "" if form is None else form[1] or "?"


def path_and_query(request: BaseRequest) -> tuple[str, str]:
    """Return the path and what follows its `?`."""
    target = request.raw_path
    if not target.startswith("/") and (form := _ABSOLUTE.match(target)) is not None:
        target = target[form.end() :]
    path, _, query = target.partition("?")
    return path or "/", query
