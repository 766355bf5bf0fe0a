"""The closest known word to a wrong one."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(wrong: str, known: Iterable[str], prefix: str = "") -> str:
    """Return the end of a sentence, with the closest known word; empty when none is close.

    The `prefix` that all words share is left out of the comparison, because it says nothing about similarity.
    """
    from difflib import get_close_matches  # only when something is wrong

    close = get_close_matches(wrong.removeprefix(prefix), [word.removeprefix(prefix) for word in known], n=1)
    return f"; did you mean {prefix}{close[0]}?" if close else ""
