"""A token in a file is whole, or not there."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest

from sidecar.core.errors import ConfigurationError
from sidecar.core.model import Secret
from sidecar.file_sink.token_file import TokenFile

FIRST, SECOND = Secret("token-one"), Secret("token-two")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "token"


@pytest.fixture
def file(path: Path) -> TokenFile:
    return TokenFile(path, "SIDECAR_SINK_FILE")


def test_it_holds_the_token_and_nothing_else(file: TokenFile, path: Path) -> None:
    file.write(FIRST)
    assert path.read_bytes() == b"token-one"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("umask", [0, 0o077])
def test_its_mode_is_set_each_time_whatever_the_umask_and_the_file_before(
    umask: int, file: TokenFile, path: Path
) -> None:
    path.write_text("of another")
    path.chmod(0o666)
    before = os.umask(umask)
    try:
        file.write(FIRST)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_who_is_reading_the_old_one_reads_it_to_its_end(file: TokenFile, path: Path) -> None:
    file.write(FIRST)
    with path.open() as reader:
        assert reader.read(3) == "tok"
        file.write(SECOND)
        assert reader.read() == "en-one"
    assert path.read_text() == "token-two"


def test_it_is_on_the_disk_before_it_has_its_name_and_the_name_after(
    file: TokenFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a power cut leaves an empty file with the right name."""
    synced: list[tuple[str, bool]] = []

    def note(descriptor: int) -> None:
        synced.append((Path(f"/proc/self/fd/{descriptor}").readlink().name, path.exists()))

    monkeypatch.setattr(os, "fsync", note)
    file.write(FIRST)
    file.remove()
    folder = path.parent.name
    assert synced == [(".token.tmp", False), (folder, True), (folder, False)]


def test_what_a_crash_left_does_not_stand_in_the_way_and_a_link_is_not_followed(file: TokenFile, path: Path) -> None:
    other = path.parent / "other"
    other.write_text("untouched")
    (path.parent / ".token.tmp").symlink_to(other)
    file.write(FIRST)
    assert (path.read_text(), other.read_text()) == ("token-one", "untouched")
    assert sorted(path.parent.iterdir()) == [other, path]


def test_a_token_that_cannot_be_written_takes_the_one_before_it_along(file: TokenFile, path: Path) -> None:
    """It is vended no more: an app that reads it would be refused without knowing why."""
    file.write(FIRST)
    (path.parent / ".token.tmp").mkdir()
    with pytest.raises(OSError, match=r"\.token\.tmp"):
        file.write(SECOND)
    assert not path.exists()


def test_a_file_that_is_not_there_is_removed_all_the_same(file: TokenFile, path: Path) -> None:
    assert not file.remove()
    file.write(FIRST)
    assert file.remove()
    assert not path.exists()


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("missing/token", r"^SIDECAR_SINK_FILE: \S+/missing must be a directory that user \d+ may write to$"),
        ("", r"^SIDECAR_SINK_FILE: \S+ is a directory, and must be a file, there or not$"),
    ],
)
def test_a_place_where_no_file_can_be_is_refused(place: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        TokenFile(tmp_path / place, "SIDECAR_SINK_FILE")
    (problem,) = caught.value.problems
    assert re.fullmatch(said, problem)
