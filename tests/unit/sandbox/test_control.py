"""The clients that may use the sandbox's control path."""

from __future__ import annotations

import pytest

from sidecar.sandbox.control import _is_loopback


@pytest.mark.parametrize(
    ("remote", "allowed"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("10.0.0.1", False), ("", False), (None, False)],
)
def test_only_loopback_peers_reach_it(remote: str | None, allowed: bool) -> None:
    assert _is_loopback(remote) is allowed
