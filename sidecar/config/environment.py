"""Copies the environment of the process, and removes variables that must not stay in it."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from types import MappingProxyType

from sidecar.config.schema import SETTINGS
from sidecar.config.settings import Diagnostics

_ONE_PROCESS = "the metrics are of one process and stay in its memory"
IGNORED: Mapping[str, str] = MappingProxyType(
    {
        "SSLKEYLOGFILE": "it would let anyone who records TLS connections read credentials and tokens",
        "PROMETHEUS_MULTIPROC_DIR": _ONE_PROCESS,
        "prometheus_multiproc_dir": _ONE_PROCESS,
    }
)
"""Variables that libraries read when imported, where a missing folder is an error, and why they are ignored."""


def take_environment(environ: MutableMapping[str, str]) -> dict[str, str]:
    """Copy the environment, and remove from the original the variables that no library or child process may see.

    These are variables that may hold a secret, and ignored ones. The kernel's `/proc/PID/environ` shows the initial
    environment and does not change.
    """
    taken = dict(environ)
    for name in (*(setting.name for setting in SETTINGS if not setting.shown), *IGNORED):
        environ.pop(name, None)
    return taken


def check_ignored(environ: Mapping[str, str], diagnostics: Diagnostics) -> None:
    """Warn of variables that are set and ignored."""
    for name, why in IGNORED.items():
        if environ.get(name):
            diagnostics.warn(f"{name} is ignored: {why}")
