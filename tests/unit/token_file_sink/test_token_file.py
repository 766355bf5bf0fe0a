"""A file contains a whole token, or does not exist."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from sidecar.core.model import Secret
from sidecar.token_file_sink import token_file
from sidecar.token_file_sink.token_file import TokenFile, TokenFileError
from tests.support.odd_files import ODD, make_odd

FIRST, SECOND = Secret("token-one"), Secret("token-two")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "token"


@pytest.fixture
def file(path: Path) -> TokenFile:
    return TokenFile(path)


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def refuse_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)


def test_the_file_contains_only_the_token(file: TokenFile, path: Path) -> None:
    assert file.put(FIRST) == "removed"
    assert path.read_bytes() == b"token-one"
    assert names(path.parent) == ["token"]


@pytest.mark.parametrize("umask", [0, 0o077])
def test_each_write_sets_the_mode_whatever_the_umask_and_the_previous_mode(
    umask: int, file: TokenFile, path: Path
) -> None:
    path.write_text("of another")
    path.chmod(0o666)
    before = os.umask(umask)
    try:
        file.put(FIRST)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_an_app_that_is_reading_the_old_file_reads_it_to_its_end(file: TokenFile, path: Path) -> None:
    file.put(FIRST)
    with path.open() as reader:
        assert reader.read(3) == "tok"
        file.put(SECOND)
        assert reader.read() == "en-one"
    assert path.read_text() == "token-two"


def test_the_content_is_synced_before_the_rename_and_the_directory_after_it(
    file: TokenFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a power cut could leave an empty file under the final name."""
    synced: list[tuple[bool, bool]] = []

    def note(descriptor: int) -> None:
        synced.append((Path(f"/proc/self/fd/{descriptor}").readlink() == path.parent, path.exists()))

    monkeypatch.setattr(os, "fsync", note)
    file.put(FIRST)
    file.put(None)
    assert synced == [(False, False), (True, True), (True, False)]


def test_when_a_token_cannot_be_written_the_previous_one_is_removed(
    file: TokenFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The previous token is no longer vended: the partner would reject it without a visible reason."""
    file.put(FIRST)
    refuse_temporary_files(monkeypatch)
    with pytest.raises(TokenFileError) as caught:
        file.put(SECOND)
    assert (caught.value.cause, caught.value.old_token_left) == ("ENOSPC", False)
    assert names(path.parent) == []


def test_the_present_token_stays_when_the_mode_of_its_file_cannot_be_set(
    file: TokenFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.put(FIRST)
    path.chmod(0o666)
    refuse_temporary_files(monkeypatch)
    with pytest.raises(TokenFileError) as caught:
        file.put(FIRST)
    assert not caught.value.old_token_left
    assert path.read_text() == "token-one"


def test_an_old_token_that_cannot_be_removed_either_is_reported(
    file: TokenFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(self: Path, *_: object, **__: object) -> None:
        raise OSError(16, "Device or resource busy")

    file.put(FIRST)
    monkeypatch.setattr(Path, "replace", busy)
    monkeypatch.setattr(Path, "unlink", busy)
    for token in (SECOND, None):
        with pytest.raises(TokenFileError) as caught:
            file.put(token)
        assert (caught.value.cause, caught.value.old_token_left) == ("EBUSY", True)
    assert path.read_text() == "token-one"


def test_the_removal_of_a_missing_file_is_no_error(file: TokenFile, path: Path) -> None:
    assert file.put(None) is None
    file.put(FIRST)
    assert file.put(None) == "created"
    assert not path.exists()


def test_a_correct_file_is_not_changed_and_not_read_repeatedly(
    file: TokenFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.put(FIRST)
    before = path.stat()
    reads: list[Secret] = []
    holds = TokenFile._holds

    def note(self: TokenFile, token: Secret) -> bool:
        reads.append(token)
        return holds(self, token)

    monkeypatch.setattr(TokenFile, "_holds", note)
    assert [file.put(FIRST) for _ in range(5)] == [None] * 5
    assert reads == [FIRST, FIRST]
    assert path.stat().st_ino == before.st_ino


@pytest.mark.parametrize("looks", [0, 1])
def test_other_content_of_the_same_length_within_one_tick_is_detected(looks: int, file: TokenFile, path: Path) -> None:
    """The first two checks read the file. Later ones are more than a tick after its creation."""
    file.put(FIRST)
    for _ in range(looks):
        file.put(FIRST)
    before = path.stat()
    path.write_text("token-two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.put(FIRST) == "content"
    assert path.read_text() == "token-one"


def test_a_change_of_another_process_is_corrected_and_named(file: TokenFile, path: Path) -> None:
    def make_folder_again() -> None:
        path.unlink()
        path.parent.rmdir()
        path.parent.mkdir()

    for change, named in (
        (path.unlink, "removed"),
        (make_folder_again, "removed"),
        (lambda: path.write_text(""), "content"),
        (lambda: path.write_text("token-one and more"), "content"),
        (lambda: path.chmod(0o600), "mode"),
        (lambda: path.with_name("other").write_text("of another") and path.with_name("other").replace(path), "content"),
    ):
        file.put(FIRST)
        file.put(FIRST)
        file.put(FIRST)
        change()
        assert file.put(FIRST) == named
        assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("token-one", 0o640)
    file.put(None)
    path.write_text("token-one")
    assert file.put(None) == "created"
    assert not path.exists()


def test_on_a_file_system_without_modes_the_file_is_not_written_repeatedly(
    file: TokenFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fchmod", lambda descriptor, _: Path(f"/proc/self/fd/{descriptor}").chmod(0o755))
    file.put(FIRST)
    assert stat.S_IMODE(path.stat().st_mode) == 0o755
    assert file.put(FIRST) is None


@pytest.mark.parametrize("token", [SECOND, None])
@pytest.mark.parametrize("kind", list(ODD))
def test_another_file_than_a_regular_one_is_neither_replaced_nor_removed(
    kind: str, token: Secret | None, file: TokenFile, path: Path
) -> None:
    file.put(FIRST)
    path.unlink()
    with make_odd(kind, path):
        before = path.lstat()
        with pytest.raises(TokenFileError) as caught:
            file.put(token)
        assert (caught.value.cause, caught.value.old_token_left) == ("not-regular", False)
        assert path.lstat().st_ino == before.st_ino
    assert not [name for name in names(path.parent) if name.endswith(".tmp")]


def test_another_file_that_appears_during_the_write_is_not_replaced(
    file: TokenFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: path.mkdir())
    with pytest.raises(TokenFileError, match="not-regular"):
        file.put(FIRST)
    assert path.is_dir()


def test_a_failed_directory_sync_is_reported_and_the_token_stays(
    file: TokenFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sync(self: TokenFile) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(token_file.TokenFile, "_sync", sync)
    with pytest.raises(TokenFileError, match="EIO") as caught:
        file.put(FIRST)
    assert not caught.value.old_token_left
    assert path.read_text() == "token-one"
