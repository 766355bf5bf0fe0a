"""The target of a request, from its raw bytes, without unquoting or normalising."""

from __future__ import annotations

import re

from aiohttp.web_request import BaseRequest

_ABSOLUTE = re.compile(r"https?://([^/?#]*)", re.IGNORECASE)
"""The form of requests to a proxy; every server must accept it too (RFC 9112 section 3.2.2)."""


def authority_of(request: BaseRequest) -> str:
    """Return the host and port of a target in absolute form; empty for the usual target, which is a path."""
    form = None if request.raw_path.startswith("/") else _ABSOLUTE.match(request.raw_path)
    # Never empty for another form: a target without a valid authority must not look like the usual one.
    return "" if form is None else form[1] or "?"


def path_and_query(request: BaseRequest) -> tuple[str, str]:
    """Return the path, and the query after `?`."""
    target = request.raw_path
    if not target.startswith("/") and (form := _ABSOLUTE.match(target)) is not None:
        target = target[form.end() :]
    path, _, query = target.partition("?")
    return path or "/", query
