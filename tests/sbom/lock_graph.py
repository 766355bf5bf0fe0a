"""The dependencies between packages and their conditions, from `requirements.lock`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_PIN = re.compile(r"([a-z0-9-]+)==\S+(?: ; (.+?))?(?: \\)?")
_NEEDED_BY = re.compile(r" +# (?:via +|  )([a-z0-9-]+)(?: \(pyproject\.toml\))?")


@dataclass
class Locked:
    """One package; `needed_by` are the packages that require it, which may include the sidecar."""

    name: str
    marker: str
    needed_by: list[str] = field(default_factory=list)


def locked(text: str) -> dict[str, Locked]:
    """Return the packages by name, in the order of the lock."""
    found: dict[str, Locked] = {}
    latest: Locked | None = None
    for line in text.splitlines():
        if pin := _PIN.fullmatch(line):
            latest = found[pin[1]] = Locked(pin[1], pin[2] or "")
        elif latest is not None and (needed := _NEEDED_BY.fullmatch(line)):
            latest.needed_by.append(needed[1])
    return found
