"""The addresses of a running sidecar on the same machine, for the commands that send requests to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sidecar.config import sources
from sidecar.config.schema import Settings
from sidecar.config.settings import Diagnostics, Values
from sidecar.core.errors import ConfigurationError
from sidecar.core.model import Address

# An unspecified listen address is reached on loopback.
_SAME_MACHINE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not listened on


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """The first listener of each kind, and the file of caller tokens (None: callers need none)."""

    vending: Address
    admin: Address
    caller_token_file: Path | None


def client_settings(environ: Mapping[str, str]) -> ClientSettings:
    """Read only the settings that a request needs: other problems concern the sidecar, which is running already.

    Raises `ConfigurationError` when one of these three settings cannot be read.
    """
    written = sources.read(environ, Diagnostics())
    diagnostics = Diagnostics()
    values = Values((written.environment, written.file), diagnostics)
    found = ClientSettings(
        vending=_callable(values[Settings.listen][0]),
        admin=_callable(values[Settings.admin_listen][0]),
        caller_token_file=values[Settings.caller_token_file],
    )
    if diagnostics.problems:
        raise ConfigurationError(diagnostics.problems)
    return found


def _callable(address: Address) -> Address:
    if address.path:
        return address
    return Address(_SAME_MACHINE.get(address.host, address.host), address.port, address.path)
