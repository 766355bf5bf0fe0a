"""Which settings disable the fast path: its own switch, and a log that contains each request."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.app.running import load_settings
from sidecar.app.service import Service

CREDENTIALS = {"SIDECAR_API_KEY": "key", "SIDECAR_API_SECRET": "secret"}


def has_fast_path(**settings: str) -> bool:
    environ = CREDENTIALS | {f"SIDECAR_{name}": text for name, text in settings.items()}
    return Service(load_settings(environ))._observers.fast_path(lambda: None) is not None


@pytest.mark.parametrize("settings", [{}, {"ALLOWED_UIDS": "0"}, {"AUDIT": "changes"}, {"AUDIT": "all"}])
def test_it_is_on_also_where_clients_are_distinguished(settings: dict[str, str]) -> None:
    assert has_fast_path(**settings)


def test_it_is_on_where_a_caller_token_is_required(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("caller-token-of-some-length")
    assert has_fast_path(CALLER_TOKEN_FILE=str(tmp_path / "token"))


@pytest.mark.parametrize("settings", [{"WARM": "off"}, {"LOG_LEVEL": "debug"}])
def test_it_is_off_where_requests_are_to_be_parsed_or_logged(settings: dict[str, str]) -> None:
    assert not has_fast_path(**settings)
