"""Where there is no table of warm answers: switched off, or where each request has to be looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.app.running import load_settings
from sidecar.app.service import Service

PAIR = {"SIDECAR_API_KEY": "key", "SIDECAR_API_SECRET": "secret"}


def has_warm_answers(**settings: str) -> bool:
    environ = PAIR | {f"SIDECAR_{name}": text for name, text in settings.items()}
    return Service(load_settings(environ))._observers.warm_answers() is not None


def test_answers_are_warm_unless_somebody_says_otherwise() -> None:
    assert has_warm_answers()


@pytest.mark.parametrize(
    "settings",
    [{"WARM": "off"}, {"ALLOWED_UIDS": "0"}, {"AUDIT": "changes"}, {"AUDIT": "all"}, {"LOG_LEVEL": "debug"}],
)
def test_answers_are_not_warm_where_callers_are_told_apart_or_requests_are_told(settings: dict[str, str]) -> None:
    assert not has_warm_answers(**settings)


def test_answers_are_not_warm_where_a_caller_token_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("caller-token-of-some-length")
    assert not has_warm_answers(CALLER_TOKEN_FILE=str(tmp_path / "token"))
