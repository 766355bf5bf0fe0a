"""The dashboard is complete, and names only what exists. `test_live.py` evaluates it with a real Prometheus."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest

from tests.monitoring.dashboard import CHOSEN, DASHBOARD, PANELS, ROWS, VARIABLES, expressions, substituted
from tests.monitoring.exported import EXPORTED, labels_in, labels_of, metrics_in

TITLES = [panel["title"] for panel in PANELS]
QUESTIONS = [
    "Can apps get a token?",
    "When will it expire?",
    "Are we near the partner's limit?",
    "What failed?",
    "Do calls through the gateway get a response?",
]
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
BUILT_IN = {"stat", "table", "timeseries"}
"""The panels that every Grafana has."""
ALERT_LABELS = {"alertname"}
"""The labels of Prometheus's own series `ALERTS`."""
WIDTH = 24

every_panel = pytest.mark.parametrize("panel", PANELS, ids=TITLES)


def squares(panel: dict[str, Any]) -> set[tuple[int, int]]:
    at = panel["gridPos"]
    return set(itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])))


def test_the_rows_are_the_questions_in_their_order_and_each_has_panels() -> None:
    assert [row["title"] for row in sorted(ROWS, key=lambda row: int(row["gridPos"]["y"]))] == QUESTIONS
    kinds = [panel["type"] == "row" for panel in DASHBOARD["panels"]]
    assert [is_row for is_row, _ in itertools.groupby(kinds)] == [True, False] * len(QUESTIONS)


def test_grafana_10_and_11_identify_it_by_its_uid() -> None:
    assert DASHBOARD["uid"] == "token-sidecar"
    assert 36 <= DASHBOARD["schemaVersion"] <= 39
    assert "id" not in DASHBOARD
    assert "__inputs" not in DASHBOARD


def test_ids_and_titles_are_unique() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    assert len(set(TITLES)) == len(TITLES)


def test_panels_are_placed_in_the_order_of_the_list_and_none_covers_another() -> None:
    placed = [squares(panel) for panel in DASHBOARD["panels"]]
    assert sum(map(len, placed)) == len(set().union(*placed))
    assert max(x for x, _ in set().union(*placed)) < WIDTH
    corners = [(panel["gridPos"]["y"], panel["gridPos"]["x"]) for panel in DASHBOARD["panels"]]
    assert corners == sorted(corners)


@every_panel
def test_a_panel_has_a_description_and_a_unit(panel: dict[str, Any]) -> None:
    assert panel["type"] in BUILT_IN
    assert panel["description"]
    assert panel["fieldConfig"]["defaults"]["unit"]


@every_panel
def test_a_panel_uses_the_chosen_data_source(panel: dict[str, Any]) -> None:
    assert panel["targets"]
    assert [part["datasource"] for part in (panel, *panel["targets"])] == [SOURCE] * (1 + len(panel["targets"]))


@every_panel
def test_a_series_is_named_by_labels_it_keeps(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        if panel["type"] == "table":
            assert (target["format"], target["instant"]) == ("table", True)
            continue
        assert target["legendFormat"]
        named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        kept = [set(re.split(r",\s*", group)) - {"le"} for group in re.findall(r"by \(([^)]*)\)", target["expr"])]
        assert kept == [named] * len(kept)
        assert kept


@every_panel
def test_a_panel_shows_each_profile_apart_where_its_metrics_have_one(panel: dict[str, Any]) -> None:
    """A sum over profiles hides the trouble of a partner that is called less than the others."""
    for target in panel["targets"]:
        used = [metric for metric in metrics_in(target["expr"]) if "profile" in EXPORTED[metric]]
        groups = re.findall(r"by \(([^)]*)\)", target["expr"])
        assert not used or all("profile" in re.split(r",\s*", group) for group in groups)
        assert not used or panel["type"] == "table" or "{{profile}}" in target["legendFormat"]


@pytest.mark.parametrize(("title", "expr"), list(expressions()), ids=[title for title, _ in expressions()])
def test_an_expression_uses_metrics_that_exist_and_labels_they_have(title: str, expr: str) -> None:
    used = metrics_in(expr)
    assert used or "ALERTS" in expr
    assert used <= set(EXPORTED)
    assert labels_in(expr) <= labels_of(used) | (set() if used else ALERT_LABELS)


@pytest.mark.parametrize(("title", "expr"), list(expressions()), ids=[title for title, _ in expressions()])
def test_an_expression_uses_the_chosen_variables(title: str, expr: str) -> None:
    """Every selector has namespace and job, and the profile if its metric has that label."""
    selectors = re.findall(r"\b(ALERTS|token_sidecar_\w+)(?:\{([^}]*)\})?", expr)
    assert selectors
    for metric, matchers in selectors:
        has_profile = "profile" in EXPORTED.get(metric.removeprefix("token_sidecar_"), ())
        wanted = ["namespace", "job", *(["profile"] if has_profile else [])]
        assert re.findall(r'(\w+)=~"\$\1"', matchers) == wanted
    assert "$" not in substituted(expr, 1)


@pytest.mark.parametrize("name", CHOSEN)
def test_a_variable_may_be_all_several_or_a_label_that_no_series_has(name: str) -> None:
    """Outside Kubernetes no series has a namespace; only a pattern that also matches no label finds the series."""
    variable = VARIABLES[name]
    assert (variable["multi"], variable["includeAll"], variable["allValue"]) == (True, True, ".*")
    assert variable["datasource"] == SOURCE
    assert variable["current"]["value"] == ["$__all"]
    assert metrics_in(variable["definition"]) <= set(EXPORTED)
    assert variable["query"]["query"] == variable["definition"]


def test_the_data_source_is_any_prometheus() -> None:
    assert next(iter(VARIABLES)) == "datasource"
    assert VARIABLES["datasource"]["query"] == "prometheus"
