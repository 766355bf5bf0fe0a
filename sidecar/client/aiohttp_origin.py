"""Limits the token to one origin while aiohttp follows redirects: the scheme, host and port that the app requested.

A middleware cannot distinguish the requests of a redirect chain from the app's own. They follow one another in one
task, so the response to a request shows whether the next one in this task follows a redirect.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from weakref import ReferenceType, ref

import aiohttp
from yarl import URL

_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class _Redirect:
    """The last response in this task: the first origin of its chain, and the origin it redirects to (None: unclear)."""

    session: ReferenceType[aiohttp.ClientSession]
    first: URL
    target: URL | None


_redirect: ContextVar[_Redirect | None] = ContextVar("sidecar_client_redirect", default=None)


def first_origin(request: aiohttp.ClientRequest) -> URL:
    """Return the origin that the app requested: the request's own, unless it follows a redirect."""
    origin = request.url.origin()
    redirect = _redirect.get()
    if redirect is None or redirect.session() is not request.session or redirect.target not in (None, origin):
        return origin
    return redirect.first


def remember(request: aiohttp.ClientRequest, first: URL, response: aiohttp.ClientResponse) -> aiohttp.ClientResponse:
    """Store the redirect of a response in a chain that began at `first`, for the next request; return the response.

    Call it for each response, but not for failures: aiohttp itself repeats a request whose connection broke.
    """
    is_redirect = response.status in _REDIRECTS
    _redirect.set(_Redirect(ref(request.session), first, _target(response)) if is_redirect else None)
    return response


def _target(response: aiohttp.ClientResponse) -> URL | None:
    location = response.headers.get("Location") or response.headers.get("URI")
    try:
        return None if location is None else response.url.join(URL(location)).origin()
    except ValueError:
        return None
