"""One token file under two paths is refused, with both settings named."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar.config.load import load
from sidecar.core.errors import ConfigurationError
from tests.support.partners import shipped


def problems(folder: Path, **files: Path) -> tuple[str, ...]:
    """Return the problems of a settings file with these profiles, each with its token file."""
    config = folder / "sidecar.toml"
    config.write_text(
        "".join(
            f'[profiles.{name}]\ncredentials_dir = "/{name}"\nsink_file = "{path}"\n' for name, path in files.items()
        )
    )
    try:
        load({"SIDECAR_CONFIG": str(config)}, shipped(pay1st="https://pay1st.example"))
    except ConfigurationError as error:
        return error.problems
    return ()


def dotted(folder: Path) -> Path:
    (folder / "below").mkdir()
    return folder / "below/../token"


def linked(folder: Path) -> Path:
    (folder / "elsewhere").symlink_to(folder)
    return folder / "elsewhere/token"


def hard_linked(folder: Path) -> Path:
    (folder / "token").write_text("")
    os.link(folder / "token", folder / "twin")
    return folder / "twin"


@pytest.mark.parametrize("spelled", [dotted, linked, hard_linked])
def test_one_file_under_two_paths_is_refused(spelled: Callable[[Path], Path], tmp_path: Path) -> None:
    other = spelled(tmp_path)
    expected = (
        f"profiles a and b would keep their tokens in one file, {tmp_path}/token (sink_file in [profiles.a] of "
        f"{tmp_path}/sidecar.toml), which is {other} (sink_file in [profiles.b] of {tmp_path}/sidecar.toml): "
        "set another sink_file in each table"
    )
    assert problems(tmp_path, a=tmp_path / "token", b=other) == (expected,)


def test_one_file_in_a_missing_folder_under_two_paths_is_refused_too(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, a=tmp_path / "none/token", b=tmp_path / "other/../none/token")
    assert problem.startswith("profiles a and b would keep their tokens in one file")


def test_each_two_of_three_profiles_with_one_file_are_named(tmp_path: Path) -> None:
    found = problems(tmp_path, a=tmp_path / "token", b=tmp_path / "token", c=dotted(tmp_path))
    assert [problem.split(" would")[0] for problem in found] == [
        "profiles a and b",
        "profiles a and c",
        "profiles b and c",
    ]


def test_two_files_of_one_folder_and_two_folders_with_one_name_are_two(tmp_path: Path) -> None:
    for name in ("a", "b", "one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "one/token").write_text("")
    (tmp_path / "two/token").write_text("")
    assert problems(tmp_path, a=tmp_path / "a/token", b=tmp_path / "b/token") == ()
    assert problems(tmp_path, a=tmp_path / "one/token", b=tmp_path / "two/token") == ()
    assert problems(tmp_path, a=tmp_path / "token", b=tmp_path / "TOKEN") == ()
