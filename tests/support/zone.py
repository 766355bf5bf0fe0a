"""A name service that a test controls."""

from __future__ import annotations

import socket
import threading

from sidecar.resolver import IpAddresses

AGAIN = socket.gaierror(socket.EAI_AGAIN, "try again")
UNKNOWN = socket.gaierror(socket.EAI_NONAME, "no such name")


class Zone:
    """A `LookUp`. A look-up of a silent name blocks its thread until `answer`."""

    def __init__(self, **names: IpAddresses | OSError) -> None:
        """A name of one label each; `addresses` holds any."""
        self.addresses: dict[str, IpAddresses | OSError] = dict(names)
        self.asked: list[str] = []
        self._silent: dict[str, threading.Event] = {}

    def look_up(self, host: str) -> IpAddresses:
        self.asked.append(host)
        if host in self._silent:
            self._silent[host].wait()
        found = self.addresses[host]
        if isinstance(found, OSError):
            raise found
        return found

    def silence(self, *hosts: str) -> None:
        for host in hosts:
            self._silent[host] = threading.Event()

    def answer(self) -> None:
        """Answer all look-ups that wait, and all later ones."""
        for free in self._silent.values():
            free.set()
        self._silent.clear()
