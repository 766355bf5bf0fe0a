"""The valid forms of a file of secrets, and the problem of an unusable one."""

from __future__ import annotations

import os
import socket
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar.secret_file import (
    MAX_LINES_BYTES,
    MAX_SECRET_BYTES,
    NoSecretFileError,
    SecretFileError,
    file_stamp,
    read_lines,
    read_secret,
    read_text,
    secret_problem,
)

BOM = b"\xef\xbb\xbf"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


def problem(path: Path, read: Callable[[Path], object] = read_secret) -> str:
    with pytest.raises(SecretFileError) as caught:
        read(path)
    shown = "".join(traceback.format_exception(caught.value))
    assert "canary" not in shown
    return str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"secret", b" \tsecret\r\n\n", BOM + b"secret\n", BOM + b"\r\nsecret\r\n", b"\xc2\xa0secret\xe2\x80\xa8"],
)
def test_white_space_at_the_ends_and_a_byte_order_mark_are_no_part_of_a_secret(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert read_secret(path) == "secret"


@pytest.mark.parametrize("text", ["a b", "sécret", "密码", "it's", '"', "'a\"", 'a"b"', "e\u0301", "🔑"])
def test_any_visible_text_in_one_line_is_a_secret(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    assert read_secret(path) == text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b" \r\n\t\n", "empty"),
        (BOM, "empty"),
        (b"canary\nother", "has several lines where one is meant"),
        (b"canary\r\nother\r\n", "has several lines where one is meant"),
        (b"canary\rother", "has several lines where one is meant"),
        (b"canary\xff", "not UTF-8"),
        ("canary".encode("utf-16"), "not UTF-8"),
        (b"canary\x00", "has a control character"),
        (b"can\x1b[0mary", "has a control character"),
        ("can\x85ary".encode(), "has a control character"),
        ("canary\u200b".encode(), "has an invisible character (U+200B)"),
        (BOM * 2 + b"canary", "has an invisible character (U+FEFF)"),
        ("can\u00adary".encode(), "has an invisible character (U+00AD)"),
        ("can\u00a0ary".encode(), "has an invisible character (U+00A0)"),
        ("\u202ecanary".encode(), "has an invisible character (U+202E)"),
        ("can\u2028ary".encode(), "has an invisible character (U+2028)"),
        ("canary\u3164".encode(), "has an invisible character (U+3164)"),
        ("canary\ufe0f".encode(), "has an invisible character (U+FE0F)"),
        (b'"canary"\n', "has quotes around it"),
        (b"'canary'", "has quotes around it"),
        ("“canary”".encode(), "has quotes around it"),
        (b'""', "has quotes around it"),
        (b"canary" * MAX_SECRET_BYTES, f"longer than {MAX_SECRET_BYTES} bytes"),
    ],
)
def test_an_invalid_secret_is_named_by_its_problem_and_not_shown(path: Path, content: bytes, said: str) -> None:
    path.write_bytes(content)
    assert problem(path) == said


def test_a_file_of_the_greatest_length_is_read_and_one_byte_more_is_not(path: Path) -> None:
    path.write_text("s" * MAX_SECRET_BYTES)
    assert read_secret(path) == "s" * MAX_SECRET_BYTES
    path.write_text("s" * MAX_SECRET_BYTES + "\n")
    assert problem(path) == "longer than 16384 bytes"


def test_a_secret_that_is_not_in_a_file_has_the_same_rules() -> None:
    assert secret_problem("secret") == ""
    assert secret_problem("\udcff") == "has a control character"


def test_lines_are_numbered_and_blank_ones_are_skipped(path: Path) -> None:
    path.write_bytes("\ufeffone\r\n\r\n  two \n\rfour\x85\x0bfour".encode())
    assert read_lines(path) == [(1, "one"), (3, "two"), (5, "four\x85\x0bfour")]


def test_a_file_of_lines_has_a_limit_too(path: Path) -> None:
    path.write_text("\n" * (MAX_LINES_BYTES + 1))
    assert problem(path, read_lines) == "longer than 65536 bytes"


def test_only_a_regular_file_is_read_and_no_other_blocks(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    for name in ("fifo", "link", ".", "/dev/zero", "/dev/null"):
        assert problem(tmp_path / name) == "not a regular file"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        assert problem(tmp_path / "socket") == "No such device or address"


def test_a_missing_file_is_distinguished_from_an_unreadable_one(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "file").touch()
    for name in ("none", "none/none", "dangling"):
        with pytest.raises(NoSecretFileError, match="no such file"):
            read_secret(tmp_path / name)
    assert problem(tmp_path / "round") == "Too many levels of symbolic links"
    assert problem(tmp_path / "file" / "below") == "Not a directory"
    assert problem(tmp_path / "\0") == problem(tmp_path / "\ud800") == "no file can have this path"


def test_no_descriptor_stays_open_whatever_the_file_is(tmp_path: Path) -> None:
    (tmp_path / "good").write_text("secret")
    (tmp_path / "long").write_text("s" * MAX_SECRET_BYTES * 2)
    before = len(list(Path("/proc/self/fd").iterdir()))
    read_secret(tmp_path / "good")
    problem(tmp_path / "long")
    problem(tmp_path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def mount(folder: Path, version: str, content: str) -> None:
    """Mount as kubelet does: the file is a link through `..data`, and `..data` is swapped in one step."""
    (folder / version).mkdir()
    (folder / version / "file").write_text(content)
    (folder / "..new").symlink_to(version)
    (folder / "..new").replace(folder / "..data")


def test_if_a_version_of_a_mounted_secret_is_deleted_while_it_is_opened_the_next_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount(tmp_path, "..1", "first")
    (tmp_path / "file").symlink_to("..data/file")
    open_file, calls = os.open, 0

    def open_after_the_swap(path: str | Path, flags: int, *, dir_fd: int | None = None) -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            mount(tmp_path, "..2", "second")
            raise FileNotFoundError
        return open_file(path, flags, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", open_after_the_swap)
    assert read_secret(tmp_path / "file") == "second"


def test_a_change_is_detected_through_the_links_of_a_mounted_secret(tmp_path: Path) -> None:
    mount(tmp_path, "..1", "first")
    path = tmp_path / "file"
    path.symlink_to("..data/file")
    first = file_stamp(path)
    assert first is not None
    assert file_stamp(path) == first
    mount(tmp_path, "..2", "other")
    assert file_stamp(path) not in (first, None)
    assert file_stamp(tmp_path / "none") is None
    assert file_stamp(tmp_path / "\0") is None


def test_a_file_is_read_relative_to_an_open_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("secret")
    directory = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert read_secret("file", directory=directory) == "secret"
        assert read_text("file", 6, directory=directory) == "secret"
    finally:
        os.close(directory)
