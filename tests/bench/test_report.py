"""The page shows what was measured, and whether the machine was too noisy. No server is started."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from tests.bench.configurations import CONFIGURATIONS
from tests.bench.findings import Finding, ratio
from tests.bench.load import Load, Rate, WrongAnswerError, wrk
from tests.bench.measure import Results, Turn
from tests.bench.peers import Peer
from tests.bench.report import page, picture, with_section
from tests.bench.scenarios import GOALS, SCENARIOS, selected

DURATION_S = 100e-6


def results(ours: float = 1, limit_rounds: tuple[float, ...] = (100, 100, 100), without: str = "") -> Results:
    """Return results with rates of 100 and durations of 100 µs (for sidecars times `ours`), and the limit's rates."""
    found = Results()
    for scenario in SCENARIOS:
        for name in scenario.servers:
            times = ours if name in CONFIGURATIONS else 1
            rates = limit_rounds if name == "limit" else (100 * times,) * 3
            turns = [Turn(Rate(rate, DURATION_S * times, DURATION_S * times), 0.5, 10 << 20) for rate in rates]
            if name != without:
                found.turns[scenario.key, name] = turns
    return found


def text_of(found: Results, **beside: list[Finding]) -> str:
    return page(found, SCENARIOS, 3, 1, beside)


def test_a_goal_is_reached_in_its_own_direction() -> None:
    better = text_of(results(ours=10))
    assert "| 16 connections | sidecar | requests/s | Go net/http | at least 1.3 | 10.00 | yes |" in better
    assert "| 16 connections | sidecar | p99 | nginx proxy_cache | at most 1.2 | 10.00 | no |" in better
    worse = text_of(results(ours=0.5))
    assert "| 16 connections | sidecar | requests/s | Go net/http | at least 1.3 | 0.50 | no |" in worse
    assert "| 16 connections | sidecar | p99 | nginx proxy_cache | at most 1.2 | 0.50 | yes |" in worse


def test_every_goal_is_in_the_page() -> None:
    text = text_of(results())
    assert text.count("| yes |") + text.count("| no |") == len(GOALS)


def test_a_server_that_was_not_measured_is_left_out_with_its_goals() -> None:
    assert "Go net/http |" in text_of(results())
    assert "Go net/http |" not in text_of(results(without="go"))


def test_every_server_has_a_row_with_its_figures_and_its_memory() -> None:
    text = text_of(results(ours=2))
    rows = text.count("| 100 ± 0% | 100 ± 0% | 100 ± 0% | 50% | 10 |")
    assert text.count("| sidecar, audit all | 200 ± 0% | 200 ± 0% | 200 ± 0% | 50% | 10 |") == 1
    ours = text.count("| 200 ± 0% | 200 ± 0% | 200 ± 0% | 50% | 10 |")
    assert rows + ours == sum(len(scenario.servers) for scenario in SCENARIOS)


def test_both_servers_of_a_goal_are_measured_in_its_scenario() -> None:
    servers = {scenario.key: set(scenario.servers) for scenario in SCENARIOS}
    assert [goal for goal in GOALS if not {goal.ours, goal.theirs} <= servers[goal.scenario]] == []


def test_every_configuration_is_measured_and_has_a_goal() -> None:
    assert set(CONFIGURATIONS) <= {name for scenario in SCENARIOS for name in scenario.servers}
    assert {goal.ours for goal in GOALS} == set(CONFIGURATIONS)


def test_without_words_everything_is_measured() -> None:
    assert selected([]) == list(SCENARIOS)


def test_named_configurations_are_measured_with_the_servers_of_their_goals_alone() -> None:
    chosen = {scenario.key: scenario.servers for scenario in selected(["caller-token", "user-ids"])}
    assert chosen == {
        "kept-16": ("nginx", "go", "caller-token"),
        "unix": ("go-unix", "user-ids"),
        "kept-64": ("go", "caller-token"),
        "kept-500": ("go", "caller-token"),
    }


def test_a_named_scenario_is_measured_alone() -> None:
    assert [scenario.key for scenario in selected(["kept-64"])] == ["kept-64"]
    assert [scenario.servers for scenario in selected(["kept-64", "default"])] == [("go", "default")]


@pytest.mark.parametrize("words", [["nginx"], ["kept-64", "user-ids"]])
def test_words_without_anything_to_measure_are_refused(words: list[str]) -> None:
    with pytest.raises(ValueError, match=words[-1]):
        selected(words)


def test_results_besides_speed_are_shown_with_their_goals() -> None:
    found = [ratio("memory", "5 MiB", 1.2, 1.1), Finding("calls", "1", "1"), Finding("for the record", "7")]
    text = text_of(results(), Footprint=found)
    assert "## Footprint" in text
    assert "| memory | 5 MiB, 1.20 of it | at most 1.1 | no |" in text
    assert "| calls | 1 | 1 | yes |" in text
    assert "| for the record | 7 |  |  |" in text


@pytest.mark.parametrize("title", ["Footprint", "Gateway"])
def test_a_part_that_is_measured_alone_replaces_its_section(title: str) -> None:
    parts = {"Footprint": [Finding("memory", "5 MiB")], "Gateway": [Finding("rate", "7/s")]}
    before = text_of(results(), **parts)
    assert with_section(before, title, parts[title]) == before
    after = with_section(before, title, [Finding("another", "9")])
    assert after == text_of(results(), **{**parts, title: [Finding("another", "9")]})


def test_a_part_without_a_section_is_added_at_the_end() -> None:
    found = [Finding("rate", "7/s")]
    assert with_section(text_of(results()), "Gateway", found) == text_of(results(), Gateway=found)


def test_a_machine_that_is_too_noisy_is_reported() -> None:
    assert "too noisy to tell** for: 16 connections; " in text_of(results(limit_rounds=(60, 100, 100)))
    assert "too noisy" not in text_of(results(limit_rounds=(90, 100, 110)))


def test_the_median_and_half_the_spread_are_shown() -> None:
    assert "| C epoll loop (the limit) | 100 ± 20% |" in text_of(results(limit_rounds=(80, 100, 120)))


def test_the_picture_is_svg_with_a_bar_for_every_server() -> None:
    bars = ET.fromstring(picture(results(), SCENARIOS[0])).findall("{http://www.w3.org/2000/svg}rect")
    assert len(bars) == len(SCENARIOS[0].servers)


def test_durations_of_wrk_are_read_in_each_of_its_units(monkeypatch: pytest.MonkeyPatch) -> None:
    class Done:
        # wrk pads the shorter unit.
        stdout = (
            "     50%  138.81ms\n     99%    1.32s \n  22588 requests in 2.06s, 24.64MB read\nRequests/sec:  10985.03\n"
        )

    monkeypatch.setattr("tests.bench.load.subprocess.run", lambda *_, **__: Done)
    rate = wrk(Peer("a peer", 1, []), Load(1), seconds=1)
    assert [rate.per_s, rate.p50_s, rate.p99_s] == pytest.approx([10985.03, 0.13881, 1.32])


@pytest.mark.parametrize("extra", ["Non-2xx or 3xx responses: 1", "Socket errors: connect 0, read 3", "nothing"])
def test_a_wrong_answer_ends_the_run(extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Done:
        stdout = f"  50%   1.00us\n  99%   2.00us\n{extra}\n" + ("" if extra == "nothing" else "Requests/sec: 5.0\n")

    monkeypatch.setattr("tests.bench.load.subprocess.run", lambda *_, **__: Done)
    with pytest.raises(WrongAnswerError, match="a peer"):
        wrk(Peer("a peer", 1, []), Load(1), seconds=1)
