"""Where a sidecar with these settings can be reached from the same machine: for the commands that ask a running one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sidecar.config import schema, sources
from sidecar.config.findings import Findings
from sidecar.config.values import Values
from sidecar.core.errors import ConfigurationError
from sidecar.core.model import Address

# What was listened on is called on loopback.
_SAME_MACHINE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not listened on


@dataclass(frozen=True, slots=True)
class Reach:
    """The first listener of each kind, and the file with what a caller must show (None: nothing)."""

    vending: Address
    admin: Address
    caller_token_file: Path | None


def reach(environ: Mapping[str, str]) -> Reach:
    """Read only what is needed to call: whatever else is wrong concerns the sidecar, which is running already.

    Raises `ConfigurationError` when one of the three settings cannot be read.
    """
    written = sources.read(environ, Findings())
    findings = Findings()
    values = Values((written.environment, written.file), findings)
    found = Reach(
        vending=_callable(values[schema.LISTEN][0]),
        admin=_callable(values[schema.ADMIN_LISTEN][0]),
        caller_token_file=values.get(schema.CALLER_TOKEN_FILE),
    )
    if findings.problems:
        raise ConfigurationError(findings.problems)
    return found


def _callable(address: Address) -> Address:
    if address.path:
        return address
    return Address(_SAME_MACHINE.get(address.host, address.host), address.port, address.path)
