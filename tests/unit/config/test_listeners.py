"""Warnings about listeners that are open to more callers than their settings suggest."""

from __future__ import annotations

from tests.unit.config.test_load import loaded


def test_user_ids_without_effect_on_a_listener_are_a_warning() -> None:
    (warning,) = loaded(ALLOWED_UIDS="1000", LISTEN="127.0.0.1:1,unix:/run/a.sock").warnings
    assert "has no effect on 127.0.0.1:1" in warning
    assert loaded(ALLOWED_UIDS="1000", LISTEN="unix:/run/a.sock,unix:@a").warnings == ()
    assert loaded(ALLOWED_UIDS="1000", CALLER_TOKEN_FILE="/t").warnings == ()


def test_an_abstract_socket_without_a_guard_is_a_warning() -> None:
    (warning,) = loaded(LISTEN="127.0.0.1:1,unix:/run/a.sock,unix:@a").warnings
    assert warning.startswith("SIDECAR_LISTEN listens on unix:@a, which has no file mode")
    assert "set SIDECAR_ALLOWED_UIDS" in warning
    assert loaded(LISTEN="unix:@a", CALLER_TOKEN_FILE="/t").warnings == ()
    assert loaded(LISTEN="unix:@a", ALLOWED_UIDS="1000").warnings == ()
    assert loaded(ADMIN_LISTEN="unix:@a").warnings == ()
