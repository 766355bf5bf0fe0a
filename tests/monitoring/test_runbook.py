"""The runbook has a section for each alert, and names only what exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any, get_args

import pytest

from sidecar.cli.main import _parser
from sidecar.config.schema import SETTINGS
from sidecar.core import events
from sidecar.core.errors import AnswerProblem, NoTokenError
from sidecar.core.process_events import FileName
from sidecar.telemetry.metric_names import CODES, GATEWAY_CODES, OUTCOMES, REASONS, RESULTS
from sidecar.web.admin.status_document import status
from tests.monitoring.exported import EXPORTED, labels_in, labels_of, metrics_in
from tests.monitoring.test_rules import ALERTS, RULES
from tests.support.fake_provider import snapshot
from tests.support.status_samples import GATEWAY

TEXT = (Path(__file__).parents[2] / "docs/runbook.md").read_text()
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
QUOTED = {" ".join(words.split()) for words in re.findall(r"`([^`]+)`", TEXT)}
QUERIES = sorted(words for words in QUOTED if re.search(r"\w\(", words))
EVENTS = {kind.name: kind for kind in events.Event.__subclasses__()}


def keys_of(document: object) -> set[str]:
    if not isinstance(document, dict):
        return set()
    return set(document).union(*(keys_of(value) for value in document.values()))


STATUS = {"sessionId"} | keys_of(
    status([snapshot()], [], at=0, version="1.2.3", draining=False, gateway=lambda _profile: GATEWAY)
)
"""The partner's `sessionId` is present only after a failure."""
CAUSES = {"not-regular", "stalled", "no-thread"}
"""The causes of `token_file_failed` that are not error symbols."""
OTHERS = {
    "runbook", "cluster", "namespace", "job", "admin", "token-file", "gaierror", "TimeoutError", "partnerReference",
    "audit", "trace_id", *CAUSES,
}  # fmt: skip
"""An annotation, labels, a port, a reason that only the admin listener gives, exceptions of Python's, a field of the
partner's, and a log line that is written by the audit."""
FIELDS = {"event"}.union(*(kind.__dataclass_fields__ for kind in EVENTS.values()))


def test_each_alert_has_its_heading_and_no_heading_is_left_over() -> None:
    assert list(SECTIONS) == ALERTS


@pytest.mark.parametrize("rule", RULES, ids=ALERTS)
def test_an_alert_points_to_its_heading(rule: dict[str, Any]) -> None:
    assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"


@pytest.mark.parametrize("alert", ALERTS)
def test_a_section_has_its_four_parts(alert: str) -> None:
    assert re.findall(r"^- \*\*(\w+)\*\*: ", SECTIONS[alert], re.MULTILINE) == ["Payments", "Look", "Do", "Over"]


def test_headings_named_in_the_text_exist() -> None:
    assert set(re.findall(r"TokenSidecar\w+", TEXT)) == set(ALERTS)


def test_every_command_exists() -> None:
    commands = set(re.findall(r"[`\s]token-sidecar ([a-z][^`\n]*)", TEXT))
    assert {"status", "status --json", "check"} <= commands
    for command in commands:
        _parser(()).parse_args(shlex.split(command))


def test_every_metric_is_exported_and_every_query_asks_for_labels_it_has() -> None:
    assert metrics_in(TEXT) <= set(EXPORTED)
    assert QUERIES
    for query in QUERIES:
        assert labels_in(query) <= labels_of(metrics_in(query))


def test_every_quoted_event_field_and_value_exists() -> None:
    """Each is an event, a field of an event or of the status, or a value of a closed set. Metrics have another test."""
    words = {word for word in QUOTED if re.fullmatch(r"[a-z][a-zA-Z_-]*", word) and not metrics_in(word)}
    assert len(words & set(EVENTS)) > len(ALERTS)
    values = {*CODES, *GATEWAY_CODES, *OUTCOMES, *AnswerProblem, *REASONS, *RESULTS, *get_args(FileName)}
    known = {*EVENTS, *FIELDS, *STATUS, *values, *OTHERS}
    assert words - known == set()


def test_every_setting_exists() -> None:
    assert set(re.findall(r"SIDECAR_[A-Z_]+", TEXT)) <= {setting.name for setting in SETTINGS}


def test_every_reason_for_a_missing_token_has_a_row() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \|.*\| (\w+) \|$", TEXT, re.MULTILINE)
    codes = {error.code for error in NoTokenError.__subclasses__()} - {"timeout"}  # of one request only
    assert {code for code, _ in rows} == codes | {"token-file"}
    assert {heading for _, heading in rows} <= set(ALERTS)
