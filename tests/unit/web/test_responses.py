"""The table of problems is complete, and a problem has the time of the next attempt."""

from __future__ import annotations

import pytest

from sidecar.core import errors
from sidecar.core.errors import ERROR_CODES, ErrorCode
from sidecar.core.safe_traceback import safe_traceback
from sidecar.web.responses import PROBLEMS, error_result, problem, whole_seconds, wire_bytes


def test_every_error_code_has_a_status_and_a_title() -> None:
    assert PROBLEMS.keys() == set(ERROR_CODES)


def test_each_error_that_a_caller_gets_has_a_code_of_its_own() -> None:
    kinds = [kind for base in (errors.AnswerError, errors.NoTokenError) for kind in base.__subclasses__()]
    codes = {kind.code for kind in kinds if kind is not errors.NoTokenError}
    assert len(codes) == len(kinds) - 1 == 10
    assert codes <= set(ERROR_CODES)


@pytest.mark.parametrize(("wait_s", "expected"), [(0, 1), (0.001, 1), (1, 1), (1.001, 2), (29.5, 30), (-3, 1)])
def test_a_wait_is_rounded_up_to_whole_seconds(wait_s: float, expected: int) -> None:
    assert whole_seconds(wait_s) == expected


@pytest.mark.parametrize("code", ERROR_CODES)
def test_a_problem_has_the_status_of_its_code(code: ErrorCode) -> None:
    response = problem(code, "why")
    assert response.status == PROBLEMS[code][0]
    assert response.headers["Content-Type"] == "application/problem+json"
    assert b"\r\nCache-Control: no-store\r\n" in wire_bytes(response, closes=True)


def test_the_error_for_an_unknown_profile_has_its_code() -> None:
    assert error_result(errors.UnknownProfileError("none")).code == "unknown-profile"


def test_a_safe_traceback_has_places_and_classes_and_no_texts() -> None:
    def fail(secret: str) -> None:
        raise ValueError(secret) from KeyError(secret)

    with pytest.raises(ValueError, match="CANARY") as caught:
        fail("CANARY")
    trace = safe_traceback(caught.value)
    assert "web/test_responses.py:" in trace
    assert trace.endswith("ValueError from KeyError")
    assert "CANARY" not in trace
    assert safe_traceback(None) == ""
