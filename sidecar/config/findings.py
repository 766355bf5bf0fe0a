"""Results of reading the settings: problems that stop the start, and warnings that do not."""

from __future__ import annotations

from collections.abc import Iterable


class Findings:
    """Collects lines in the order found, each once: a value that all profiles inherit is checked for each of them."""

    def __init__(self) -> None:
        self._problems: dict[str, None] = {}
        self._warnings: dict[str, None] = {}

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(self._problems)

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(self._warnings)

    def problem(self, line: str) -> None:
        self._problems[line] = None

    def warn(self, line: str) -> None:
        self._warnings[line] = None


def did_you_mean(wrong: str, known: Iterable[str], prefix: str = "") -> str:
    """Return the end of a sentence, with the closest known word; empty when none is close.

    The `prefix` that all words share is left out of the comparison, because it says nothing about similarity.
    """
    from difflib import get_close_matches  # only when something is wrong

    close = get_close_matches(wrong.removeprefix(prefix), [word.removeprefix(prefix) for word in known], n=1)
    return f"; did you mean {prefix}{close[0]}?" if close else ""
