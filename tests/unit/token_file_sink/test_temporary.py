"""The temporary files beside a token file: each write has its own, and none is left."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

import pytest

from sidecar.core.model import Secret
from sidecar.token_file_sink.token_file import TokenFile, remove_abandoned, temporary_beside
from tests.support.odd_files import ODD, make_odd

ABANDONED = ".token.0123456789abcdef.tmp"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "token"


def test_two_writes_have_separate_files_and_do_not_remove_each_others(path: Path) -> None:
    with temporary_beside(path, 0o640) as (one, _), temporary_beside(path, 0o640) as (two, _):
        remove_abandoned(path)
        assert one != two
        assert {one, two} == set(path.parent.iterdir())
    assert list(path.parent.iterdir()) == []


def test_leftovers_of_a_crash_are_removed_before_the_next_write_and_at_the_start(path: Path) -> None:
    left = path.with_name(ABANDONED)
    left.write_text("an old token")
    file = TokenFile(path)
    assert file.put(None) is None
    assert not left.exists()
    left.write_text("an old token")
    file.put(Secret("token-one"))
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "name",
    [
        ".token.tmp", ".token.0123.tmp", "token.0123456789abcdef.tmp", ".token.0123456789abcdef.tmp2",
        ".other.0123456789abcdef.tmp", ".tokens.0123456789abcdef.tmp", "other",
    ],
)  # fmt: skip
def test_other_files_stay(name: str, path: Path) -> None:
    path.with_name(name).write_text("untouched")
    remove_abandoned(path)
    assert path.with_name(name).exists()


@pytest.mark.parametrize("kind", list(ODD))
def test_another_file_than_a_regular_one_with_such_a_name_stays(kind: str, path: Path) -> None:
    with make_odd(kind, path.with_name(ABANDONED)):
        remove_abandoned(path)
        assert path.with_name(ABANDONED).lstat()


def test_a_file_that_was_removed_as_abandoned_before_it_was_locked_is_made_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock
    removed: list[Path] = []

    def remove_first(descriptor: int, operation: int) -> None:
        if not removed:
            removed.extend(path.parent.iterdir())
            removed[0].unlink()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    with temporary_beside(path, 0o640) as (made, _):
        assert made.exists()
        assert made not in removed
    assert len(removed) == 1


def test_without_locks_files_are_written_and_none_counts_as_abandoned(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    path.with_name(ABANDONED).write_text("of another")
    TokenFile(path).put(Secret("token-one"))
    assert {each.name for each in path.parent.iterdir()} == {"token", ABANDONED}


def test_a_child_process_does_not_keep_the_lock(path: Path) -> None:
    with temporary_beside(path, 0o640) as (made, descriptor):
        assert not os.get_inheritable(descriptor)
        assert stat.S_IMODE(made.stat().st_mode) & 0o007 == 0
