"""Which listener addresses are names, and so allowed hosts of requests."""

from __future__ import annotations

from sidecar.app.listeners import names_of
from sidecar.core.model import Address


def test_names_are_hosts_and_addresses_are_not() -> None:
    """Browsers connect to loopback for 0.0.0.0 in a URL. Other addresses are accepted on their own connections."""
    listened = ["vend.internal", "localhost", "0.0.0.0", "::", "127.0.0.1", "2001:db8::1", ""]
    assert names_of([*(Address(host=host, port=1) for host in listened), Address(path="/run/a")]) == [
        "vend.internal",
        "localhost",
    ]
