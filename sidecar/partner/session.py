"""The HTTP session for partner calls: no kept connections, no redirects, no repeated requests."""

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
"""How long a look-up may delay a call when an earlier result is stored."""


def open_session(resolver: Resolver | None = None) -> aiohttp.ClientSession:
    """Return a session for `PartnerClient`s; the caller closes it. Needs a running event loop.

    No cookies, no decompression (`partner.bodies` does it, within limits), one connection per call. With one call in
    minutes a kept connection saves nothing, may be closed when it is needed, and may have been made with certificates
    that have changed since.
    """
    partner_resolver = PartnerResolver(resolver or Resolver(FALLBACK_AFTER_S))
    # The resolver stores results already.
    connector = BoundedConnector(limit=16, resolver=partner_resolver, use_dns_cache=False)
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers={"User-Agent": f"token-sidecar/{__version__}", "Accept-Encoding": "identity"},
        # aiohttp's own reading of the environment includes ~/.netrc, whose entry for the partner's host would break
        # every grant and put an Authorization header on refreshes. See proxy_for.
        trust_env=False,
        # PartnerClient limits the whole call exactly; aiohttp would round up to whole seconds.
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
    )


def proxy_for(url: str) -> str | None:
    """Return the proxy for `url` (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`), or None; always None for loopback.

    The URL may contain the proxy's user name and password.
    """
    proxy = proxy_of(url, os.environ)
    return None if proxy is None else proxy.url
