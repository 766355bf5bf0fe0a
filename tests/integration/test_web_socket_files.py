"""The file of a unix socket, in a folder where another user swaps it for a link."""

# ruff: noqa: ASYNC240 - a temporary directory, and nobody else on the loop to be held up

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.core.model import Address
from sidecar.web.server.sockets import open_sockets
from tests.integration.test_web_listener import GRACE_S, hello, listener_of
from tests.support.sink import ListSink
from tests.support.wire import ask, serving


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "sidecar.sock"


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    precious.chmod(0o600)
    return precious


@pytest.fixture(params=[0o000, 0o022, 0o077], ids="{:03o}".format)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


async def test_the_mode_is_the_same_under_every_umask_and_the_umask_stays(file: Path, umask: int) -> None:
    async with serving(hello, ListSink(), Address(path=str(file))):
        assert mode(file) == 0o660
        assert os.umask(umask) == umask


def test_the_umask_stays_where_the_file_cannot_be_made(tmp_path: Path, umask: int) -> None:
    with pytest.raises(Exception, match="cannot listen on"):
        open_sockets(Address(path=str(tmp_path / "missing" / "sidecar.sock")))
    assert os.umask(umask) == umask


def test_a_link_that_takes_the_place_of_the_new_file_is_not_followed(
    file: Path, precious: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Swapped(socket.socket):
        """Another user is as fast as can be: the link is there when `bind` returns."""

        def bind(self, where: Any) -> None:  # noqa: ANN401 - as in the class above
            super().bind(where)
            file.unlink()
            file.symlink_to(precious)

    monkeypatch.setattr(socket, "socket", Swapped)
    (sock,) = open_sockets(Address(path=str(file)))
    sock.close()
    assert mode(precious) == 0o600


async def test_a_file_that_is_gone_when_the_listener_is_up_stops_nothing(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Removed(socket.socket):
        def listen(self, backlog: int = 0) -> None:
            super().listen(backlog)
            file.unlink(missing_ok=True)

    with monkeypatch.context() as patched:
        patched.setattr(socket, "socket", Removed)
        listener = listener_of(hello)
        await listener.start([Address(path=str(file))])
    await listener.stop(GRACE_S)


async def test_a_link_to_our_socket_that_stands_in_its_place_is_left_alone(file: Path, tmp_path: Path) -> None:
    listener = listener_of(hello)
    await listener.start([Address(path=str(file))])
    elsewhere = file.rename(tmp_path / "elsewhere.sock")
    file.symlink_to(elsewhere)
    assert (await ask(Address(path=str(file)), "/")).status == 200
    await listener.stop(GRACE_S)
    assert file.is_symlink()
