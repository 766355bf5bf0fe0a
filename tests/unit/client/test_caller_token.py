"""The caller token that `sidecar.client` shows, while its file changes."""

from __future__ import annotations

from pathlib import Path

from sidecar.client.caller_token import CallerToken

ONE, TWO, THREE = "canary-caller-token-1", "canary-caller-token-2", "canary-caller-token-3"


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines))
    return path


def test_the_first_line_is_shown_and_read_again_when_the_file_changes(tmp_path: Path) -> None:
    path = written(tmp_path / "caller", ONE, TWO)
    token = CallerToken(file=path)
    assert token.current() == ONE
    written(path, THREE, ONE)
    assert token.current() == THREE


def test_a_symbolic_link_that_points_to_another_file_is_a_change(tmp_path: Path) -> None:
    """A mounted Kubernetes Secret changes in this way."""
    path = tmp_path / "caller"
    path.symlink_to(written(tmp_path / "one", ONE))
    token = CallerToken(file=path)
    path.unlink()
    path.symlink_to(written(tmp_path / "two", TWO))
    assert token.current() == TWO


def test_the_line_that_was_used_after_a_rejection_stays_until_the_file_changes(tmp_path: Path) -> None:
    path = written(tmp_path / "caller", ONE, TWO)
    token = CallerToken(file=path)
    assert token.instead_of(ONE) == TWO
    assert token.current() == TWO
    written(path, ONE, THREE)
    assert token.current() == ONE


def test_without_another_line_there_is_nothing_to_try(tmp_path: Path) -> None:
    token = CallerToken(file=written(tmp_path / "caller", ONE))
    assert token.instead_of(ONE) is None
    assert token.current() == ONE
    assert CallerToken(ONE).instead_of(ONE) is None
