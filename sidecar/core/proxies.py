"""The proxy that an environment names for a URL, and which hosts are this machine's own.

By the conventions of curl and Python's standard library: https://curl.se/docs/manpage.html#NOPROXY,
https://docs.python.org/3/library/urllib.request.html#urllib.request.getproxies
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeAlias
from urllib.parse import SplitResult, urlsplit

_IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_LOOPBACK_6 = ipaddress.IPv6Address("::1")
_SEPARATORS = re.compile(r"[,\s]+")
_WITH_PORT = re.compile(r"(?P<host>\[[^\]]*\]|[^:]*):(?P<port>[0-9]{1,5})")


def is_loopback(host: str) -> bool:
    """Whether a host name or address never leaves this machine (RFC 6761 section 6.3 for `localhost`)."""
    if host.lower() == "localhost" or host.lower().endswith(".localhost"):
        return True
    address = _address(host.strip("[]"))
    return address is not None and address.is_loopback


def names_loopback(host: str) -> bool:
    """Whether the host of a `Host` header is loopback.

    That is `localhost`, an address of 127.0.0.0/8 in dotted form, or `[::1]` in any spelling. A final dot makes no
    difference to the name (RFC 1034 section 3.1). Names below `localhost` are not among them.
    """
    if host.lower() in ("localhost", "localhost."):
        return True
    address = literal_address(host)
    return address is not None and (address.version == 4 or address == _LOOPBACK_6) and address.is_loopback


def literal_address(host: str) -> _IpAddress | None:
    """The address that the host of a URL or a `Host` header is written as, IPv6 in brackets; None for a name."""
    bracketed = host.startswith("[") and host.endswith("]")
    address = _address(host[1:-1] if bracketed else host)
    return address if address is not None and bracketed == (address.version == 6) else None


class Proxy(NamedTuple):
    """The variable that names it, and its URL, which may hold a user name and a password."""

    variable: str
    url: str

    @property
    def is_usable(self) -> bool:
        """Whether it is a URL of an HTTP proxy; `host:port` alone is none."""
        try:
            parts = urlsplit(self.url)
            return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            return False


def proxy_of(url: str, environ: Mapping[str, str]) -> Proxy | None:
    """What `HTTPS_PROXY` or `HTTP_PROXY` names for `url`, unless `NO_PROXY` excludes its host; None: no proxy.

    Never one for loopback, which no proxy can reach. A variable in lower case wins over the other, also an empty one.
    `NO_PROXY` holds names (with all names below them), addresses and blocks of addresses such as 10.0.0.0/8, each of
    them with a port or without, and `*` for all.
    """
    parts = urlsplit(url)
    named = _variable(f"{parts.scheme}_proxy", environ) if parts.scheme in ("http", "https") else None
    if named is None or not parts.hostname or is_loopback(parts.hostname) or _is_excluded(parts, environ):
        return None
    return named


def _variable(name: str, environ: Mapping[str, str]) -> Proxy | None:
    if name not in environ and "REQUEST_METHOD" in environ and name == "http_proxy":
        # In a CGI script, HTTP_PROXY is set by a header of the caller (CVE-2016-1000110).
        return None
    spelt = name if name in environ else name.upper()
    text = environ.get(spelt, "").strip()
    return Proxy(spelt, text) if text else None


def _is_excluded(parts: SplitResult, environ: Mapping[str, str]) -> bool:
    no_proxy = _variable("no_proxy", environ)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    address = _address(host)
    return no_proxy is not None and any(
        item == "*" or (_names(item, host) if address is None else _holds(item, address))
        for item in _items(no_proxy.url, port)
    )


def _items(text: str, port: int) -> Iterator[str]:
    """The entries that are about this port, in lower case and without it."""
    for item in _SEPARATORS.split(text.lower()):
        with_port = _WITH_PORT.fullmatch(item)
        if with_port is None:
            yield item
        elif int(with_port["port"]) == port:
            yield with_port["host"]


def _names(item: str, host: str) -> bool:
    """Whether the entry is the host's name, or that of a domain it is in."""
    domain = item.removeprefix("*").strip(".")
    return domain != "" and f".{host.rstrip('.')}".endswith(f".{domain}")


def _holds(item: str, address: _IpAddress) -> bool:
    """Whether the entry is this address, or a block that holds it."""
    try:
        return address in ipaddress.ip_network(item.strip("[]"), strict=False)
    except ValueError:
        return False


def _address(host: str) -> _IpAddress | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
