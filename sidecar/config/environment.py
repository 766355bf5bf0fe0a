"""The environment a process was started with, and what must not stay in it."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from types import MappingProxyType

from sidecar.config.findings import Findings
from sidecar.config.schema import SETTINGS

_ONE_PROCESS = "the metrics are of one process and stay in its memory"
PASSED_OVER: Mapping[str, str] = MappingProxyType(
    {
        "SSLKEYLOGFILE": "it would let anyone who records TLS connections read credentials and tokens",
        "PROMETHEUS_MULTIPROC_DIR": _ONE_PROCESS,
        "prometheus_multiproc_dir": _ONE_PROCESS,
    }
)
"""Variables that libraries read as they are imported, and fail where a folder is missing; why they have no effect."""


def take(environ: MutableMapping[str, str]) -> dict[str, str]:
    """Copy the environment, and remove from the original what no library and no child process is to see.

    That is what may hold a secret, and what is passed over. What the kernel shows as `/proc/PID/environ` is the
    start's own, and stays.
    """
    taken = dict(environ)
    for name in (*(setting.name for setting in SETTINGS if not setting.shown), *PASSED_OVER):
        environ.pop(name, None)
    return taken


def judge_passed_over(environ: Mapping[str, str], findings: Findings) -> None:
    """Warn of the variables that are set and have no effect here."""
    for name, why in PASSED_OVER.items():
        if environ.get(name):
            findings.warn(f"{name} is ignored: {why}")
