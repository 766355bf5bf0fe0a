"""A token in a file is whole, or not there."""

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


def test_it_holds_the_token_and_nothing_else(file: TokenFile, path: Path) -> None:
    assert file.put(FIRST) == "removed"
    assert path.read_bytes() == b"token-one"
    assert names(path.parent) == ["token"]


@pytest.mark.parametrize("umask", [0, 0o077])
def test_its_mode_is_set_each_time_whatever_the_umask_and_the_file_before(
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


def test_who_is_reading_the_old_one_reads_it_to_its_end(file: TokenFile, path: Path) -> None:
    file.put(FIRST)
    with path.open() as reader:
        assert reader.read(3) == "tok"
        file.put(SECOND)
        assert reader.read() == "en-one"
    assert path.read_text() == "token-two"


def test_it_is_on_the_disk_before_it_has_its_name_and_the_name_after(
    file: TokenFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a power cut leaves an empty file with the right name."""
    synced: list[tuple[bool, bool]] = []

    def note(descriptor: int) -> None:
        synced.append((Path(f"/proc/self/fd/{descriptor}").readlink() == path.parent, path.exists()))

    monkeypatch.setattr(os, "fsync", note)
    file.put(FIRST)
    file.put(None)
    assert synced == [(False, False), (True, True), (True, False)]


def test_a_token_that_cannot_be_written_takes_the_one_before_it_along(
    file: TokenFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is vended no more: an app that reads it would be refused without knowing why."""
    file.put(FIRST)
    refuse_temporary_files(monkeypatch)
    with pytest.raises(TokenFileError) as caught:
        file.put(SECOND)
    assert (caught.value.cause, caught.value.old_token_left) == ("ENOSPC", False)
    assert names(path.parent) == []


def test_a_token_that_is_in_the_file_stays_when_its_mode_cannot_be_set_right(
    file: TokenFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.put(FIRST)
    path.chmod(0o666)
    refuse_temporary_files(monkeypatch)
    with pytest.raises(TokenFileError) as caught:
        file.put(FIRST)
    assert not caught.value.old_token_left
    assert path.read_text() == "token-one"


def test_it_says_so_when_the_old_token_cannot_be_taken_away_either(
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


def test_a_file_that_is_not_there_is_removed_all_the_same(file: TokenFile, path: Path) -> None:
    assert file.put(None) is None
    file.put(FIRST)
    assert file.put(None) == "created"
    assert not path.exists()


def test_a_file_that_is_as_it_should_be_is_left_alone_and_not_read_again_and_again(
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
def test_other_content_of_the_same_length_within_one_tick_is_seen(looks: int, file: TokenFile, path: Path) -> None:
    """The first two looks read the file: later ones are further from its making than a tick."""
    file.put(FIRST)
    for _ in range(looks):
        file.put(FIRST)
    before = path.stat()
    path.write_text("token-two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.put(FIRST) == "content"
    assert path.read_text() == "token-one"


def test_what_another_changed_is_put_right_and_named(file: TokenFile, path: Path) -> None:
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


def test_a_file_system_that_knows_no_modes_is_not_written_to_again_and_again(
    file: TokenFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fchmod", lambda descriptor, _: Path(f"/proc/self/fd/{descriptor}").chmod(0o755))
    file.put(FIRST)
    assert stat.S_IMODE(path.stat().st_mode) == 0o755
    assert file.put(FIRST) is None


@pytest.mark.parametrize("token", [SECOND, None])
@pytest.mark.parametrize("kind", list(ODD))
def test_what_is_no_regular_file_is_neither_replaced_nor_removed(
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


def test_what_comes_while_the_token_is_written_is_not_replaced_either(
    file: TokenFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: path.mkdir())
    with pytest.raises(TokenFileError, match="not-regular"):
        file.put(FIRST)
    assert path.is_dir()


def test_a_folder_that_cannot_be_written_out_is_told_and_the_token_stays(
    file: TokenFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sync(self: TokenFile) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(token_file.TokenFile, "_sync", sync)
    with pytest.raises(TokenFileError, match="EIO") as caught:
        file.put(FIRST)
    assert not caught.value.old_token_left
    assert path.read_text() == "token-one"
