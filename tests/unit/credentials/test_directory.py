"""Mounted credentials: accepted files, refused files by name, and that two versions never mix."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sidecar.core.errors import CredentialsError
from sidecar.core.model import Credentials, Secret
from sidecar.credentials import directory as module
from sidecar.credentials.directory import DirectoryCredentials, StaticCredentials
from sidecar.secret_file import MAX_SECRET_BYTES

READINGS, READERS = 20_000, 2


def write(directory: Path, **files: str | bytes) -> Path:
    directory.mkdir(exist_ok=True)
    for name, content in files.items():
        raw = content if isinstance(content, bytes) else content.encode()
        (directory / name.replace("_", "-")).write_bytes(raw)
    return directory


def problem(directory: Path) -> str:
    with pytest.raises(CredentialsError) as caught:
        DirectoryCredentials(directory).read()
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert "canary" not in shown.replace(str(directory), "")
    return str(caught.value)


def test_credentials_of_a_plain_directory_are_stripped(tmp_path: Path) -> None:
    write(tmp_path, api_key=" key\n", api_secret="\ufeff\tsécret with: colon \r\n\n")
    assert DirectoryCredentials(tmp_path).read() == Credentials(
        api_key=Secret("key"), api_secret=Secret("sécret with: colon")
    )


def test_a_signing_key_is_read_if_there_is_one(tmp_path: Path) -> None:
    write(tmp_path, api_key="k", api_secret="s", signing_key="sign\n")
    assert DirectoryCredentials(tmp_path).read().signing_key == Secret("sign")


def test_only_the_version_behind_the_data_link_is_read(tmp_path: Path) -> None:
    write(tmp_path, api_key="stale", api_secret="stale")
    write(tmp_path / "..1", api_key="k1", api_secret="s1")
    (tmp_path / "..data").symlink_to("..1")
    assert DirectoryCredentials(tmp_path).read().api_key == Secret("k1")


def test_the_next_reading_returns_a_change(tmp_path: Path) -> None:
    source = DirectoryCredentials(write(tmp_path, api_key="k1", api_secret="s1"))
    before = source.read()
    write(tmp_path, api_key="k2", api_secret="s2")
    assert source.read() != before


def test_every_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    write(tmp_path, api_key="can:ary", signing_key="")
    with pytest.raises(CredentialsError) as caught:
        DirectoryCredentials(tmp_path).read()
    assert [line.rpartition("/")[2] for line in caught.value.problems] == [
        "api-key: has a colon, which would end it early",
        "api-secret: no such file",
        "signing-key: empty",
    ]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"api_secret": "canary"}, "api-key: no such file"),
        ({"api_key": "canary"}, "api-secret: no such file"),
        ({"api_key": "", "api_secret": "canary"}, "api-key: empty"),
        ({"api_key": "canary", "api_secret": " \n"}, "api-secret: empty"),
        ({"api_key": "canary", "api_secret": "canary", "signing_key": ""}, "signing-key: empty"),
        ({"api_key": b"canary\xff", "api_secret": "canary"}, "api-key: not UTF-8"),
        ({"api_key": "canary", "api_secret": "can\nary"}, "api-secret: has several lines where one is meant"),
        ({"api_key": "can\x00ary", "api_secret": "canary"}, "api-key: has a control character"),
        ({"api_key": "canary", "api_secret": "can\x85ary"}, "api-secret: has a control character"),
        ({"api_key": "\u200bcanary", "api_secret": "canary"}, "api-key: has an invisible character (U+200B)"),
        ({"api_key": "canary", "api_secret": '"canary"'}, "api-secret: has quotes around it"),
        ({"api_key": "canary", "api_secret": "canary", "signing_key": "'canary'"}, "signing-key: has quotes around it"),
        ({"api_key": "can:ary", "api_secret": "canary"}, "api-key: has a colon, which would end it early"),
        ({"api_key": "canary", "api_secret": "c" * (MAX_SECRET_BYTES + 1)}, "api-secret: longer than 16384 bytes"),
    ],
)
def test_an_unusable_file_is_named_with_its_problem(
    tmp_path: Path, files: dict[str, str | bytes], expected: str
) -> None:
    assert problem(write(tmp_path / "d", **files)) == f"{tmp_path / 'd'}/{expected}"


def test_the_largest_file_is_read(tmp_path: Path) -> None:
    write(tmp_path, api_key="k", api_secret="s" * MAX_SECRET_BYTES)
    assert DirectoryCredentials(tmp_path).read().api_secret == Secret("s" * MAX_SECRET_BYTES)


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    assert problem(tmp_path / "none") == f"{tmp_path / 'none'}: No such file or directory"


def test_a_file_in_place_of_the_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("canary")
    assert problem(tmp_path / "file") == f"{tmp_path / 'file'}: Not a directory"


def test_a_directory_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path, api_secret="canary")
    (tmp_path / "api-key").mkdir()
    assert "api-key: " in problem(tmp_path)


def test_a_fifo_in_place_of_a_file_is_refused_without_waiting(tmp_path: Path) -> None:
    write(tmp_path, api_secret="canary")
    os.mkfifo(tmp_path / "api-key")
    assert problem(tmp_path) == f"{tmp_path}/api-key: not a regular file"


def test_a_dangling_data_link_is_an_error_not_a_loop(tmp_path: Path) -> None:
    write(tmp_path, api_key="canary", api_secret="canary")
    (tmp_path / "..data").symlink_to("..gone")
    assert problem(tmp_path).startswith(f"{tmp_path}: ")


# Swaps the link as kubelet does, as fast as it can, until stopped: each version's files all hold its number.
SWAPPER = """
import itertools, os, shutil, sys
os.chdir(sys.argv[1])
old = "..0"
print("ready", flush=True)
for n in itertools.count(1):
    new = f"..{n}"
    os.mkdir(new)
    for name in ("api-key", "api-secret", "signing-key"):
        with open(f"{new}/{name}", "w") as file:
            file.write(str(n))
    os.symlink(new, "..data_tmp")
    os.rename("..data_tmp", "..data")
    shutil.rmtree(old)
    old = new
"""


def read_many(source: DirectoryCredentials) -> set[str]:
    """Return the versions that were read, each whole."""
    versions = set()
    for _ in range(READINGS // READERS):
        credentials = source.read()
        assert credentials.api_key == credentials.api_secret == credentials.signing_key
        versions.add(credentials.api_key.reveal())
    return versions


def test_two_versions_never_mix_however_often_the_link_is_swapped(tmp_path: Path) -> None:
    write(tmp_path / "..0", api_key="0", api_secret="0", signing_key="0")
    (tmp_path / "..data").symlink_to("..0")
    source = DirectoryCredentials(tmp_path)
    versions: set[str] = set()
    with subprocess.Popen([sys.executable, "-c", SWAPPER, str(tmp_path)], stdout=subprocess.PIPE) as swapper:
        try:
            assert swapper.stdout is not None
            swapper.stdout.readline()
            with ThreadPoolExecutor(READERS) as readers:
                for seen in readers.map(lambda _: read_many(source), range(READERS)):
                    versions |= seen
        finally:
            swapper.kill()
    assert len(versions) > 20, "the link was hardly swapped: the test shows nothing"


def test_a_plain_file_that_changes_during_the_reading_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """api-secret changes right after api-key was read. Without the second check, the result mixes two versions."""
    write(tmp_path, api_key="k1", api_secret="s1")
    read, changed = module._read_text, False

    def read_then_change(name: str, directory: int) -> str | None:
        nonlocal changed
        content = read(name, directory)
        if name == "api-key" and not changed:
            changed = True
            write(tmp_path, api_key="k22", api_secret="s22")
        return content

    monkeypatch.setattr(module, "_read_text", read_then_change)
    assert DirectoryCredentials(tmp_path).read() == Credentials(api_key=Secret("k22"), api_secret=Secret("s22"))


def test_static_credentials_do_not_change() -> None:
    credentials = Credentials(api_key=Secret("k"), api_secret=Secret("s"))
    assert StaticCredentials(credentials).read() is credentials


@pytest.mark.parametrize(
    ("key", "secret"),
    [("", "s"), ("k", ""), ("k:", "s"), ("k", "s\n"), ("\udcff", "s"), ("k", "'s'"), ("k\u200b", "s")],
)
def test_static_credentials_that_cannot_be_sent_are_refused(key: str, secret: str) -> None:
    with pytest.raises(CredentialsError):
        StaticCredentials(Credentials(api_key=Secret(key), api_secret=Secret(secret)))
