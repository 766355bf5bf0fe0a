"""The table of problems is whole, and a problem says when to come back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sidecar.core import errors
from sidecar.core.safe_traceback import bare_trace
from sidecar.web.responses import PROBLEMS, problem, refused, whole_seconds, wire_bytes


def kinds(error: type[errors.AnswerError]) -> Iterator[type[errors.AnswerError]]:
    for child in error.__subclasses__():
        yield child
        yield from kinds(child)


def test_every_answer_error_is_in_the_table() -> None:
    codes = {kind.code for kind in kinds(errors.AnswerError) if hasattr(kind, "code")}
    assert len(codes) == 10
    assert codes <= PROBLEMS.keys()


@pytest.mark.parametrize(("wait_s", "said"), [(0, 1), (0.001, 1), (1, 1), (1.001, 2), (29.5, 30), (-3, 1)])
def test_a_wait_is_rounded_up_to_whole_seconds(wait_s: float, said: int) -> None:
    assert whole_seconds(wait_s) == said


@pytest.mark.parametrize("code", PROBLEMS)
def test_a_problem_has_the_status_of_its_code(code: str) -> None:
    response = problem(code, "why")
    assert response.status == PROBLEMS[code][0]
    assert response.headers["Content-Type"] == "application/problem+json"
    assert b"\r\nCache-Control: no-store\r\n" in wire_bytes(response, closes=True)


def test_the_error_that_no_profile_has_this_name_keeps_its_code() -> None:
    assert refused(errors.UnknownProfileError("none")).code == "unknown-profile"


def test_a_trace_has_places_and_classes_and_no_texts() -> None:
    def fail(secret: str) -> None:
        raise ValueError(secret) from KeyError(secret)

    with pytest.raises(ValueError, match="CANARY") as caught:
        fail("CANARY")
    trace = bare_trace(caught.value)
    assert "web/test_responses.py:" in trace
    assert trace.endswith("ValueError from KeyError")
    assert "CANARY" not in trace
    assert bare_trace(None) == ""
