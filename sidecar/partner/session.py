"""The HTTP session partner calls go through: nothing kept, nothing followed, nothing sent twice."""

from __future__ import annotations

import os

import aiohttp

from sidecar import __version__
from sidecar.core.model import Seconds
from sidecar.core.proxies import proxy_of
from sidecar.partner.resolver import PartnerResolver
from sidecar.partner.transport import BoundedConnector
from sidecar.resolver import Resolver

FALLBACK_AFTER_S: Seconds = 0.5
"""How long a look-up may delay a call when an earlier result is known."""


def open_session(resolver: Resolver | None = None) -> aiohttp.ClientSession:
    """A session for `PartnerClient`s; the caller closes it. Needs a running event loop.

    No cookies, no decompression (`partner.bodies` does it, within bounds), one connection a call: with one call in
    minutes a kept connection saves nothing and may be dead when it is needed, or made with certificates that have
    changed since.
    """
    partner_resolver = PartnerResolver(resolver or Resolver(FALLBACK_AFTER_S))
    # The resolver remembers results already.
    connector = BoundedConnector(limit=16, resolver=partner_resolver, use_dns_cache=False)
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers={"User-Agent": f"token-sidecar/{__version__}", "Accept-Encoding": "identity"},
        # aiohttp's own reading of the environment includes ~/.netrc, whose entry for the partner's host would break
        # every grant and put an Authorization header on refreshes. See proxy_for.
        trust_env=False,
        # PartnerClient times the whole call exactly; aiohttp would round up to whole seconds.
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
    )


def proxy_for(url: str) -> str | None:
    """The proxy the environment names for `url` (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`), or None; none for loopback.

    May hold the proxy's user name and password.
    """
    proxy = proxy_of(url, os.environ)
    return None if proxy is None else proxy.url
