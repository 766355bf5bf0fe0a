"""The environment a process was started with, and what must not stay in it."""

from __future__ import annotations

from collections.abc import MutableMapping

from sidecar.config.table import SETTINGS


def take(environ: MutableMapping[str, str]) -> dict[str, str]:
    """Copy the environment, and remove from the original what may hold a secret: no child process inherits it.

    What the kernel shows as `/proc/PID/environ` is the start's own, and stays.
    """
    taken = dict(environ)
    for setting in SETTINGS:
        if not setting.shown:
            environ.pop(setting.name, None)
    return taken
