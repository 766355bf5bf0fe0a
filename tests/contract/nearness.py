"""Durations of a real server are compared to within the time that passes while a test runs."""

from __future__ import annotations

import time
from typing import Any

import pytest

NEAR_S = 2.0


class Stopwatch:
    """Each test of the contract starts it."""

    began_at = 0.0


def near(expected: object) -> Any:  # noqa: ANN401 - pytest's own
    """Equal to these seconds, within `NEAR_S` and the time that the test has taken."""
    return pytest.approx(expected, abs=NEAR_S + time.monotonic() - Stopwatch.began_at)
