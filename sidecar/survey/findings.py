"""What a survey has found, and how it is shown: a table, a TOML snippet, or JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal, TypeAlias

Certainty: TypeAlias = Literal["measured", "likely", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The answer to one question. `settings` follow from it, by their names in the TOML file."""

    key: str
    """A constant name, for machines."""
    what: str
    found: str
    sure: Certainty
    settings: Mapping[str, str | float | bool] = field(default_factory=dict)


def unknown(key: str, what: str, why: str) -> Finding:
    return Finding(key=key, what=what, found=f"not found out: {why}", sure="unknown")


def table(findings: Iterable[Finding]) -> str:
    """Return aligned lines: what, found, how sure, what to set."""
    rows = [("what", "found", "how sure", "what to set")]
    for one in findings:
        to_set = ", ".join(_line(name, value) for name, value in one.settings.items())
        rows.append((one.what, one.found, one.sure, to_set))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        "  ".join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3])) for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def snippet(findings: Sequence[Finding]) -> str:
    """Return the settings that follow, as lines of the TOML file; empty when none do."""
    settings: dict[str, str | float | bool] = {}
    for one in findings:
        settings |= one.settings
    return "".join(f"{_line(name, value)}\n" for name, value in settings.items())


def document(findings: Iterable[Finding]) -> list[dict[str, object]]:
    return [asdict(one) for one in findings]


def _line(name: str, value: str | float | bool) -> str:
    if isinstance(value, bool):
        return f"{name} = {'true' if value else 'false'}"
    return f'{name} = "{value}"' if isinstance(value, str) else f"{name} = {value:g}"
