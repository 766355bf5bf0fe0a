"""The caller token follows its file, and a bad new version does not lock everybody out."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.core.errors import ConfigurationError
from sidecar.core.events import CredentialsUnreadable
from sidecar.web.caller_token_file import CallerTokenFile
from tests.fakes.sink import ListSink


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "caller-token"
    path.write_text("  first\n")
    return path


def replace(file: Path, content: bytes) -> None:
    """As a mounted Secret changes: another file under the same name."""
    fresh = file.with_name("fresh")
    fresh.write_bytes(content)
    fresh.replace(file)


def test_the_token_is_the_content_without_white_space(file: Path) -> None:
    assert CallerTokenFile(file, ListSink())().reveal() == "first"


def test_a_new_version_is_read_when_it_is_there(file: Path) -> None:
    token = CallerTokenFile(file, ListSink())
    replace(file, b"second\n")
    assert token().reveal() == "second"


@pytest.mark.parametrize("content", [b"", b" \n", b"CANARY\xff"])
def test_an_unusable_new_version_is_told_once_and_the_old_one_stays(file: Path, content: bytes) -> None:
    sink = ListSink()
    token = CallerTokenFile(file, sink)
    replace(file, content)
    assert [token().reveal(), token().reveal()] == ["first", "first"]
    (event,) = sink.of(CredentialsUnreadable)
    assert str(file) in event.problem
    assert "CANARY" not in event.problem


def test_a_file_that_vanishes_is_told_and_its_return_is_seen(file: Path) -> None:
    sink = ListSink()
    token = CallerTokenFile(file, sink)
    file.unlink()
    assert token().reveal() == "first"
    assert len(sink.of(CredentialsUnreadable)) == 1
    file.write_text("second")
    assert token().reveal() == "second"


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff"])
def test_without_a_usable_token_there_is_no_start(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match="SIDECAR_CALLER_TOKEN_FILE"):
        CallerTokenFile(file, ListSink())


def test_a_missing_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        CallerTokenFile(tmp_path / "none", ListSink())
