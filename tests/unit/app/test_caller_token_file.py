"""The caller tokens follow their file, and an unusable new version does not lock all callers out."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar import file_operations
from sidecar.app import watched_files
from sidecar.app.watched_files import CallerTokenFile
from sidecar.core.errors import ConfigurationError
from sidecar.core.events import CredentialsUnreadable
from sidecar.core.model import Secret
from sidecar.core.process_events import FileStalled
from sidecar.credentials.caller_token import CallerTokens
from sidecar.file_operations import FileOperations, FileStalls
from sidecar.secret_file import FileStamp
from tests.support.held_reading import HeldReading
from tests.support.replica import until
from tests.support.sink import ListSink

FIRST, SECOND, THIRD = "first-caller-token", "second-caller-token", "third-caller-token"
UNUSABLE = [b"", b" \n", b"CANARY-CANARY-CANARY\xff", b"CANARY-short", f"{FIRST}\nCANARY".encode()]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "caller-token"
    path.write_text(f"  {FIRST}\n")
    return path


def replace(file: Path, content: bytes) -> None:
    """Replace the file like a mounted Secret: another file under the same name."""
    fresh = file.with_name("fresh")
    fresh.write_bytes(content)
    fresh.replace(file)


def put_fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def remove(file: Path) -> None:
    file.unlink()


def caller_token_file(
    path: Path, sink: ListSink, register: Callable[[Secret], None] = lambda _: None
) -> CallerTokenFile:
    return CallerTokenFile(path, sink, FileOperations("caller-tokens", FileStalls(sink)), register)


async def looked(tokens: CallerTokenFile) -> CallerTokens:
    await tokens.file.look()
    return tokens()


def accepted(tokens: CallerTokens) -> list[str]:
    return [token for token in (FIRST, SECOND, THIRD) if tokens.accept(token)]


def test_each_line_is_accepted_and_nothing_else(file: Path) -> None:
    file.write_bytes(f"\ufeff{FIRST}\r\n\r\n {SECOND} \r\n".encode())
    tokens = caller_token_file(file, ListSink())()
    assert accepted(tokens) == [FIRST, SECOND]
    for other in ("", f"{FIRST}\r\n\r\n {SECOND}", f"{FIRST} ", FIRST[:-1], "\udcff"):
        assert not tokens.accept(other)


async def test_a_token_is_rotated_without_a_gap(file: Path) -> None:
    tokens = caller_token_file(file, ListSink())
    assert accepted(await looked(tokens)) == [FIRST]
    replace(file, f"{SECOND}\n{FIRST}\n".encode())
    assert accepted(await looked(tokens)) == [FIRST, SECOND]
    replace(file, f"{SECOND}\n".encode())
    assert accepted(await looked(tokens)) == [SECOND]


@pytest.mark.parametrize("content", UNUSABLE)
async def test_an_unusable_new_version_is_reported_once_and_the_previous_tokens_stay(
    file: Path, content: bytes
) -> None:
    sink = ListSink()
    tokens = caller_token_file(file, sink)
    replace(file, content)
    assert [accepted(await looked(tokens)), accepted(await looked(tokens))] == [[FIRST], [FIRST]]
    (event,) = sink.of(CredentialsUnreadable)
    assert str(file) in event.problem
    assert "CANARY" not in event.problem


async def test_a_fifo_in_place_of_the_file_blocks_no_caller(file: Path) -> None:
    sink = ListSink()
    tokens = caller_token_file(file, sink)
    put_fifo(file)
    assert accepted(await looked(tokens)) == [FIRST]
    assert [event.problem for event in sink.of(CredentialsUnreadable)] == [
        f"SIDECAR_CALLER_TOKEN_FILE: {file}: not a regular file"
    ]


async def test_a_file_that_vanishes_is_reported_and_its_return_is_detected(file: Path) -> None:
    sink = ListSink()
    tokens = caller_token_file(file, sink)
    remove(file)
    assert accepted(await looked(tokens)) == [FIRST]
    assert len(sink.of(CredentialsUnreadable)) == 1
    replace(file, SECOND.encode())
    assert accepted(await looked(tokens)) == [SECOND]


@pytest.mark.parametrize("content", UNUSABLE)
def test_without_usable_tokens_the_start_fails(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match="SIDECAR_CALLER_TOKEN_FILE"):
        caller_token_file(file, ListSink())


def test_a_missing_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such file"):
        caller_token_file(tmp_path / "none", ListSink())


async def test_each_new_token_is_registered_once(file: Path) -> None:
    registered: list[Secret] = []
    tokens = caller_token_file(file, ListSink(), registered.append)
    replace(file, f"{FIRST}\n{SECOND}".encode())
    await tokens.file.look()
    assert registered == [Secret(FIRST), Secret(SECOND)]


async def test_while_the_file_hangs_the_previous_tokens_stay(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = HeldReading[FileStamp | None](None)
    sink = ListSink()
    tokens = caller_token_file(file, sink)
    monkeypatch.setattr(watched_files, "file_stamp", lambda _: held())
    monkeypatch.setattr(file_operations, "STALLED_AFTER_S", 0.01)
    held.answers.clear()
    look = asyncio.create_task(tokens.file.look())
    await until(lambda: bool(sink.of(FileStalled)))
    assert accepted(tokens()) == [FIRST]
    replace(file, SECOND.encode())
    held.answers.set()
    await look
    assert accepted(tokens()) == [SECOND]
