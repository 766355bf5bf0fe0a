"""The file of seal keys is read again when it changes."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from sidecar.app.watched_files import SealKeyFile
from sidecar.core.errors import ConfigurationError
from sidecar.core.events import SealKeysChanged, SealKeysUnreadable
from sidecar.file_operations import FileOperations, FileStalls
from sidecar.stores.sealing import UnsealError
from tests.support.sink import ListSink


def key(fill: int) -> str:
    return base64.b64encode(bytes([fill]) * 32).decode()


def write(path: Path, content: str | bytes | None) -> None:
    """Write the file; None removes it."""
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def seal_key_file(path: Path, sink: ListSink) -> SealKeyFile:
    return SealKeyFile(path, sink, FileOperations("seal-keys", FileStalls(sink)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "seal-keys").write_text(f"old:{key(1)}\n")
    return tmp_path / "seal-keys"


async def test_the_key_of_the_first_line_seals_and_that_of_the_second_opens(path: Path) -> None:
    sink = ListSink()
    ours, other = seal_key_file(path, sink), seal_key_file(path, ListSink())
    write(path, f"new:{key(2)}\nold:{key(1)}\n")
    await other.file.look()
    sealed = other.sealer.seal(b"token", "context")
    with pytest.raises(UnsealError):
        ours.sealer.open(sealed, "context")
    await ours.file.look()
    assert ours.sealer.open(sealed, "context") == b"token"
    assert ours.sealer.seal(b"", "").startswith("aes:new:")
    await ours.file.look()
    assert sink.of(SealKeysChanged) == [SealKeysChanged(key_ids=("new", "old"))]


async def test_a_removed_key_opens_nothing_any_more(path: Path) -> None:
    ours = seal_key_file(path, ListSink())
    sealed = ours.sealer.seal(b"token", "context")
    write(path, f"new:{key(2)}\n")
    await ours.file.look()
    with pytest.raises(UnsealError):
        ours.sealer.open(sealed, "context")


@pytest.mark.parametrize("content", [b"", b"not base64", b"\xff", None], ids=repr)
async def test_a_file_that_cannot_be_used_is_reported_once_and_changes_nothing(
    path: Path, content: bytes | None
) -> None:
    sink = ListSink()
    ours = seal_key_file(path, sink)
    sealed = ours.sealer.seal(b"token", "context")
    write(path, content)
    for _ in range(3):
        await ours.file.look()
    (event,) = sink.of(SealKeysUnreadable)
    assert str(path) in event.problem
    assert ours.sealer.open(sealed, "context") == b"token"
    write(path, f"old:{key(1)}\n")
    await ours.file.look()
    write(path, None)
    await ours.file.look()
    assert len(sink.of(SealKeysUnreadable)) == 2, "a problem that came back is a new one"


def test_a_file_that_cannot_be_used_at_the_start_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        seal_key_file(tmp_path / "missing", ListSink())
