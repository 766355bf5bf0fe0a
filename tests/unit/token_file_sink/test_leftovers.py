"""The token file of a removed profile is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sidecar.core.model import Secret
from sidecar.token_file_sink.place import leftovers
from sidecar.token_file_sink.token_file import TokenFile
from tests.support.odd_files import ODD, make_odd

SAID = "{} looks like the token file of a profile that is gone: if no sidecar writes it, remove it"


def left(path: Path, content: str = "ZXhhbXBsZQ.token_one~", mode: int = 0o640) -> Path:
    path.write_text(content)
    path.chmod(mode)
    return path


def test_a_token_file_that_is_no_longer_in_use_is_named_and_stays(tmp_path: Path) -> None:
    here, gone = tmp_path / "here", tmp_path / "gone"
    for path in (here, gone):
        TokenFile(path).put(Secret("token-one"))
    assert leftovers([here], []) == [SAID.format(gone)]
    assert gone.read_text() == "token-one"


def test_a_temporary_file_that_a_crash_left_is_named_too(tmp_path: Path) -> None:
    temporary = left(tmp_path / ".gone.0123456789abcdef.tmp")
    assert leftovers([tmp_path / "here"], []) == [SAID.format(temporary)]


def test_a_folder_of_two_files_is_listed_once_and_files_in_use_are_recognized_by_any_path(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "linked").symlink_to("folder")
    used = [left(tmp_path / "folder/a"), left(tmp_path / "folder/b")]
    gone = left(tmp_path / "folder/c")
    spelled = [used[0], tmp_path / "linked/b"]
    assert leftovers(spelled, []) == [SAID.format(gone)]


@pytest.mark.parametrize(
    ("content", "mode"),
    [("with a line break\n", 0o640), ("two words", 0o640), ("", 0o640), ("x" * 20_000, 0o640), ("token", 0o600)],
)
def test_files_that_the_sidecar_does_not_write_are_not_named(content: str, mode: int, tmp_path: Path) -> None:
    left(tmp_path / "other", content, mode)
    assert leftovers([tmp_path / "here"], []) == []


@pytest.mark.parametrize("kind", list(ODD))
def test_only_regular_files_are_named(kind: str, tmp_path: Path) -> None:
    with make_odd(kind, tmp_path / "odd"):
        assert leftovers([tmp_path / "here"], []) == []


def test_files_of_secrets_are_recognized_also_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "secrets").symlink_to(left(tmp_path / "a-key"))
    assert leftovers([tmp_path / "here"], [tmp_path / "secrets"]) == []


def test_a_file_of_another_user_is_not_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left(tmp_path / "other")
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    assert leftovers([tmp_path / "here"], []) == []


def test_a_missing_folder_has_no_leftovers(tmp_path: Path) -> None:
    assert leftovers([tmp_path / "none/here"], []) == []
