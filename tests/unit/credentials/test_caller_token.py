"""The caller tokens follow their file, and a bad new version does not lock everybody out."""

from __future__ import annotations

import asyncio
import hmac
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar import file_operations
from sidecar.core.errors import ConfigurationError
from sidecar.core.events import CredentialsUnreadable
from sidecar.core.model import Secret
from sidecar.core.process_events import FileStalled
from sidecar.credentials import caller_token as caller_token_file_module
from sidecar.credentials.caller_token import CallerTokenFile, CallerTokens, read_caller_tokens
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
    """As a mounted Secret changes: another file under the same name."""
    fresh = file.with_name("fresh")
    fresh.write_bytes(content)
    fresh.replace(file)


def put_fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def remove(file: Path) -> None:
    file.unlink()


def caller_token_file(path: Path, sink: ListSink, learn: Callable[[Secret], None] = lambda _: None) -> CallerTokenFile:
    return CallerTokenFile(path, sink, FileOperations("caller-tokens", FileStalls(sink)), learn)


async def looked(tokens: CallerTokenFile) -> CallerTokens:
    await tokens.look()
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
async def test_an_unusable_new_version_is_told_once_and_the_tokens_before_it_stay(file: Path, content: bytes) -> None:
    sink = ListSink()
    tokens = caller_token_file(file, sink)
    replace(file, content)
    assert [accepted(await looked(tokens)), accepted(await looked(tokens))] == [[FIRST], [FIRST]]
    (event,) = sink.of(CredentialsUnreadable)
    assert str(file) in event.problem
    assert "CANARY" not in event.problem


async def test_a_fifo_in_the_files_place_stops_nobody(file: Path) -> None:
    sink = ListSink()
    tokens = caller_token_file(file, sink)
    put_fifo(file)
    assert accepted(await looked(tokens)) == [FIRST]
    assert [event.problem for event in sink.of(CredentialsUnreadable)] == [
        f"SIDECAR_CALLER_TOKEN_FILE: {file}: not a regular file"
    ]


async def test_a_file_that_vanishes_is_told_and_its_return_is_seen(file: Path) -> None:
    sink = ListSink()
    tokens = caller_token_file(file, sink)
    remove(file)
    assert accepted(await looked(tokens)) == [FIRST]
    assert len(sink.of(CredentialsUnreadable)) == 1
    replace(file, SECOND.encode())
    assert accepted(await looked(tokens)) == [SECOND]


@pytest.mark.parametrize("content", UNUSABLE)
def test_without_usable_tokens_there_is_no_start(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match="SIDECAR_CALLER_TOKEN_FILE"):
        caller_token_file(file, ListSink())


def test_a_missing_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such file"):
        caller_token_file(tmp_path / "none", ListSink())


async def test_each_new_token_is_learnt_once(file: Path) -> None:
    learnt: list[Secret] = []
    tokens = caller_token_file(file, ListSink(), learnt.append)
    replace(file, f"{FIRST}\n{SECOND}".encode())
    await tokens.look()
    assert learnt == [Secret(FIRST), Secret(SECOND)]


def test_a_line_has_16_to_4096_visible_ascii_characters(file: Path) -> None:
    longest = "".join(chr(code) for code in range(0x21, 0x7F)) * 43 + "a" * 54
    file.write_text(f"{'a' * 16}\n{longest}\n")
    assert [len(token.reveal()) for token in read_caller_tokens(file)] == [16, 4096]


def test_every_line_that_is_no_token_is_named_by_number_and_not_shown(file: Path) -> None:
    lines = [
        "a" * 15, FIRST, "canary " * 4, "canary-" * 4 + "é", "canary\u200b" * 4, "a" * 4097, f'"{SECOND}"', "c\0" * 9
    ]  # fmt: skip
    file.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        read_caller_tokens(file)
    where = f"SIDECAR_CALLER_TOKEN_FILE: {file}, line"
    assert caught.value.problems == (
        f"{where} 1: shorter than 16 characters",
        f"{where} 3: has a space or a character beyond ASCII",
        f"{where} 4: has a space or a character beyond ASCII",
        f"{where} 5: has an invisible character (U+200B)",
        f"{where} 6: longer than 4096 characters",
        f"{where} 7: has quotes around it",
        f"{where} 8: has a control character",
    )


@pytest.mark.parametrize("offered", ["", "x", FIRST, SECOND, FIRST[:-1], FIRST * 100, "\udcff"])
def test_every_token_is_compared_in_constant_time(offered: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what takes the same time for all texts of one length, with texts of one length, and with all of them."""
    tokens = CallerTokens([Secret(FIRST), Secret(SECOND), Secret(THIRD)])
    compared: list[tuple[int, int]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert tokens.accept(offered) == (offered in (FIRST, SECOND))
    assert compared == [(32, 32)] * 3


def test_tokens_do_not_show_themselves() -> None:
    assert FIRST not in repr(CallerTokens([Secret(FIRST)]))


async def test_while_the_file_hangs_the_tokens_before_it_stay(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = HeldReading[FileStamp | None](None)
    sink = ListSink()
    tokens = caller_token_file(file, sink)
    monkeypatch.setattr(caller_token_file_module, "file_stamp", lambda _: held())
    monkeypatch.setattr(file_operations, "STALLED_AFTER_S", 0.01)
    held.answers.clear()
    look = asyncio.create_task(tokens.look())
    await until(lambda: bool(sink.of(FileStalled)))
    assert accepted(tokens()) == [FIRST]
    replace(file, SECOND.encode())
    held.answers.set()
    await look
    assert accepted(tokens()) == [SECOND]
