"""The page says what was measured, and when that means nothing. No server is started here."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from tests.bench.findings import Finding, ratio
from tests.bench.load import WrongAnswerError, wrk
from tests.bench.measure import SCENARIOS, Results
from tests.bench.peers import Peer
from tests.bench.report import GOALS, OURS, page, picture

LIMIT = "C epoll loop (the limit)"
NAMES = [LIMIT, "nginx proxy_cache", "Go net/http", "aiohttp Application", OURS]


def results(ours: float = 100, limit_rounds: tuple[float, ...] = (100, 100, 100)) -> Results:
    """Every figure of everybody is 100, but ours and the rounds of the limit."""
    found = Results()
    for scenario in SCENARIOS:
        for name in NAMES:
            rounds = limit_rounds if name == LIMIT else (ours,) * 3 if name == OURS else (100.0,) * 3
            found.rounds[scenario.key, name] = list(rounds)
            found.busy[scenario.key, name] = [0.5]
    found.resident_bytes = dict.fromkeys(NAMES, 10 << 20)
    return found


def test_a_goal_is_reached_in_its_own_direction() -> None:
    better = page(results(ours=1000), NAMES, 3, 1, {})
    assert "| 16 connections | Go net/http | at least 1.5 | 10.00 | yes |" in better
    assert "| 500/s, p99 | Go net/http | at most 1.0 | 10.00 | no |" in better


def test_every_goal_is_in_the_page() -> None:
    written = page(results(), NAMES, 3, 1, {})
    assert written.count("| yes |") + written.count("| no |") == len(GOALS)


def test_a_goal_beside_somebody_who_is_not_there_is_left_out() -> None:
    names = [name for name in NAMES if name != "Go net/http"]
    assert "Go net/http |" not in page(results(), names, 3, 1, {})


def test_what_was_measured_beside_speed_is_told_with_its_goal() -> None:
    found = [ratio("memory", "5 MiB", 1.2, 1.1), Finding("calls", "1", "1"), Finding("for the record", "7")]
    written = page(results(), NAMES, 3, 1, {"Footprint": found})
    assert "## Footprint" in written
    assert "| memory | 5 MiB, 1.20 of it | at most 1.1 | no |" in written
    assert "| calls | 1 | 1 | yes |" in written
    assert "| for the record | 7 |  |  |" in written


def test_a_machine_that_is_too_noisy_is_told() -> None:
    assert "too noisy to tell" in page(results(limit_rounds=(60, 100, 100)), NAMES, 3, 1, {})
    assert "too noisy" not in page(results(limit_rounds=(90, 100, 110)), NAMES, 3, 1, {})


def test_the_median_and_half_the_spread_are_shown() -> None:
    assert "| 100 ± 20% |" in page(results(limit_rounds=(80, 100, 120)), NAMES, 3, 1, {})


def test_the_picture_is_svg_with_a_bar_for_everybody() -> None:
    bars = ET.fromstring(picture(results(), NAMES)).findall("{http://www.w3.org/2000/svg}rect")
    assert len(bars) == len(NAMES)


@pytest.mark.parametrize("told", ["Non-2xx or 3xx responses: 1", "Socket errors: connect 0, read 3", "nothing"])
def test_a_wrong_answer_ends_the_run(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Done:
        stdout = f"  50%   1.00us\n  99%   2.00us\n{told}\n" + ("" if told == "nothing" else "Requests/sec: 5.0\n")

    monkeypatch.setattr("tests.bench.load.subprocess.run", lambda *_, **__: Done)
    with pytest.raises(WrongAnswerError, match="a peer"):
        wrk(Peer("a peer", 1, []), connections=1, seconds=1)
