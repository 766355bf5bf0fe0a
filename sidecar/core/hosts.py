"""Which hosts are this machine's own."""

from __future__ import annotations

import ipaddress

_LOOPBACK_6 = ipaddress.IPv6Address("::1")


def is_loopback(host: str) -> bool:
    """Whether a host name or address never leaves this machine (RFC 6761 section 6.3 for `localhost`)."""
    if host.lower() == "localhost" or host.lower().endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def names_loopback(host: str) -> bool:
    """Whether the host of a `Host` header is loopback.

    That is `localhost`, an address of 127.0.0.0/8 in dotted form, or `[::1]` in any spelling. A final dot makes no
    difference to the name (RFC 1034 section 3.1). Names below `localhost` are not among them.
    """
    if host.lower() in ("localhost", "localhost."):
        return True
    address = literal_address(host)
    return address is not None and (address.version == 4 or address == _LOOPBACK_6) and address.is_loopback


def literal_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that the host of a URL or a `Host` header is written as, IPv6 in brackets; None for a name."""
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ipaddress.ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        return None
    return address if bracketed == (address.version == 6) else None
