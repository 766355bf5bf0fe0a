"""Where a token file may be kept."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sidecar.core.errors import ConfigurationError
from sidecar.token_file_sink import place
from sidecar.token_file_sink.place import refuse_place
from tests.support.odd_files import ODD, make_odd


def problem_at(path: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        refuse_place(path, "SIDECAR_SINK_FILE")
    (problem,) = caught.value.problems
    return problem


def test_a_regular_file_or_no_file_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "token"
    refuse_place(path, "SIDECAR_SINK_FILE")
    path.write_text("of an earlier process")
    refuse_place(path, "SIDECAR_SINK_FILE")
    (tmp_path / "elsewhere").symlink_to(tmp_path)
    refuse_place(tmp_path / "elsewhere/token", "SIDECAR_SINK_FILE")


@pytest.mark.parametrize("kind", list(ODD))
def test_another_file_than_a_regular_one_is_refused_by_its_kind(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "token"
    with make_odd(kind, path):
        before = path.lstat()
        said = f"SIDECAR_SINK_FILE: {path} is {ODD[kind]}, and must be a regular file, there or not"
        assert problem_at(path) == said
        assert path.lstat().st_ino == before.st_ino


@pytest.mark.parametrize("device", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/dev/null", "/"])
def test_a_device_of_the_machine_is_refused(device: str) -> None:
    assert re.fullmatch(
        rf"SIDECAR_SINK_FILE: {device} is a (symbolic link to .+|device|directory), "
        "and must be a regular file, there or not",
        problem_at(Path(device)),
    )


@pytest.mark.parametrize("folder", ["missing", "a-file"])
def test_a_folder_that_is_not_a_directory_is_refused(folder: str, tmp_path: Path) -> None:
    (tmp_path / "a-file").write_text("")
    said = rf"SIDECAR_SINK_FILE: {tmp_path}/{folder} must be a directory that user \d+ may write to"
    assert re.fullmatch(said, problem_at(tmp_path / folder / "token"))


def test_a_path_with_a_space_is_found_among_the_mount_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "with space"
    folder.mkdir()
    table = tmp_path / "mountinfo"
    written = str(folder).replace(" ", r"\040")
    table.write_text(
        f"63 43 254:0 /x {written}/token rw,relatime - ext4 /dev/vda rw\n36 35 0:1 / / rw - tmpfs none rw\n"
    )
    monkeypatch.setattr(place, "_MOUNTS", table)
    said = f"SIDECAR_SINK_FILE: {folder}/token is a mount point, which cannot be replaced: mount its folder, {folder}, "
    assert problem_at(folder / "token") == f"{said}instead"
    refuse_place(folder / "other", "SIDECAR_SINK_FILE")
    table.unlink()
    refuse_place(folder / "token", "SIDECAR_SINK_FILE")
