"""Listeners: where they listen, who may connect, and how they end."""

# ruff: noqa: ASYNC240 - a temporary directory, and nobody else on the loop to be held up

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
import struct
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import web

from sidecar import file_operations
from sidecar.core.errors import ConfigurationError
from sidecar.core.listener_limits import Limits
from sidecar.core.model import Address
from sidecar.web.responses import Response, json_response
from sidecar.web.server import sockets
from sidecar.web.server.listener import Handler, HttpServer, Listener
from tests.support.held_reading import HeldReading
from tests.support.replica import HANG_S, PATIENT_S
from tests.support.sink import ListSink
from tests.support.wire import LOOPBACK, ask, serving

GRACE_S = 0.1
TOTAL_RETRANSMISSIONS_AT = 100
"""In `struct tcp_info` of linux/tcp.h."""
ABSTRACT = Address(path=f"@token-sidecar-test-{os.getpid()}")


async def hello(request: web.BaseRequest) -> Response:
    return json_response(200, {"hello": request.raw_path})


def listener_of(handler: Handler) -> Listener:
    return Listener(HttpServer(handler, ListSink(), "vending", Limits()))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "sidecar.sock"


@pytest.fixture
def address(file: Path) -> Address:
    return Address(path=str(file))


async def test_one_listener_serves_tcp_and_unix_addresses(address: Address) -> None:
    listener = listener_of(hello)
    await listener.start([LOOPBACK, address, LOOPBACK])
    assert len(listener.bound) == 3
    for bound in listener.bound:
        assert bound.path or bound.port > 0
        assert (await ask(bound, "/x")).json() == {"hello": "/x"}
    await listener.stop(GRACE_S)


async def test_many_callers_may_come_at_once() -> None:
    """While the event loop is busy they wait in the kernel's queue; one that finds it full has to try again."""
    async with serving(hello, ListSink()) as address, AsyncExitStack() as stack:
        for _ in range(min(500, int(Path("/proc/sys/net/core/somaxconn").read_text()))):
            caller = stack.enter_context(socket.socket())
            caller.connect((address.host, address.port))
            info = caller.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
            assert struct.unpack_from("I", info, TOTAL_RETRANSMISSIONS_AT) == (0,)


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("host", "hosts"),
    [("localhost", ["127.0.0.1", "::1"]), ("LOCALHOST", ["127.0.0.1", "::1"]), ("", ["0.0.0.0", "::"])],
)
async def test_localhost_is_both_loopback_addresses_and_no_host_is_all_addresses(host: str, hosts: list[str]) -> None:
    """With one port, also where any free one was asked for."""
    listener = listener_of(hello)
    await listener.start([Address(host=host)])
    assert [bound.host for bound in listener.bound] == (hosts if has_ipv6() else hosts[:1])
    assert len({bound.port for bound in listener.bound}) == 1
    for bound in listener.bound:
        loopback = "::1" if ":" in bound.host else "127.0.0.1"
        assert (await ask(Address(host=loopback, port=bound.port), "/")).status == 200
    await listener.stop(GRACE_S)


@pytest.mark.parametrize("cause", [errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT])
@pytest.mark.parametrize("host", ["localhost", ""])
async def test_on_a_machine_without_ipv6_ipv4_is_listened_on_alone(
    host: str, cause: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sockets._listen_tcp

    def without_ipv6(family: int, where: tuple[str, int]) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(cause, os.strerror(cause))
        return real(family, where)

    monkeypatch.setattr(sockets, "_listen_tcp", without_ipv6)
    listener = listener_of(hello)
    await listener.start([Address(host=host)])
    assert [bound.host for bound in listener.bound] == ["127.0.0.1" if host else "0.0.0.0"]
    assert (await ask(Address(host="127.0.0.1", port=listener.bound[0].port), "/")).status == 200
    await listener.stop(GRACE_S)


async def test_a_port_that_one_of_two_addresses_does_not_have_is_not_listened_on_at_all() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigurationError, match="cannot listen on localhost:"):
            await listener_of(hello).start([Address(host="localhost", port=taken.getsockname()[1])])


async def test_a_unix_socket_is_for_owner_and_group_and_goes_with_the_listener(file: Path, address: Address) -> None:
    async with serving(hello, ListSink(), address):
        assert stat.S_IMODE(file.stat().st_mode) == 0o660
    assert not file.exists()


async def test_an_abstract_socket_has_a_name_and_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with serving(hello, ListSink(), ABSTRACT) as address:
        assert address == ABSTRACT
        assert (await ask(address, "/")).status == 200
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(ConfigurationError, match=f"cannot listen on unix:{ABSTRACT.path}"):
            await listener_of(hello).start([ABSTRACT])
    async with serving(hello, ListSink(), ABSTRACT) as address:
        assert (await ask(address, "/")).status == 200


async def test_a_stale_socket_file_is_replaced(address: Address) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(address.path)
    async with serving(hello, ListSink(), address):
        assert (await ask(address, "/")).status == 200


async def test_a_live_socket_of_somebody_else_is_left_alone(address: Address) -> None:
    async with serving(hello, ListSink(), address):
        with pytest.raises(ConfigurationError, match="another process listens there"):
            await listener_of(hello).start([address])
        assert (await ask(address, "/")).status == 200


async def test_a_file_that_is_no_socket_is_left_alone(file: Path, address: Address) -> None:
    file.write_text("precious")
    with pytest.raises(ConfigurationError, match="is no socket"):
        await listener_of(hello).start([address])
    assert file.read_text() == "precious"


async def test_a_successors_socket_file_survives_our_end(file: Path, address: Address) -> None:
    ours = listener_of(hello)
    await ours.start([address])
    file.unlink()
    async with serving(hello, ListSink(), address):
        await ours.stop(GRACE_S)
        assert (await ask(address, "/")).status == 200


async def test_when_one_address_cannot_be_had_none_is_kept(address: Address) -> None:
    async with serving(hello, ListSink()) as taken:
        with pytest.raises(ConfigurationError, match=f"cannot listen on 127.0.0.1:{taken.port}"):
            await listener_of(hello).start([address, taken])
    with socket.socket(socket.AF_UNIX) as probe:
        assert probe.connect_ex(address.path) != 0


async def test_a_running_request_may_end_and_new_ones_are_refused() -> None:
    running, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request: web.BaseRequest) -> Response:
        running.set()
        await go_on.wait()
        return json_response(200, {})

    listener = listener_of(slow)
    await listener.start([LOOPBACK])
    asking = asyncio.create_task(ask(listener.bound[0], "/"))
    await running.wait()
    stopping = asyncio.create_task(listener.stop(PATIENT_S))
    await asyncio.sleep(0)
    with pytest.raises(ConnectionError):
        await ask(listener.bound[0], "/")
    go_on.set()
    assert (await asking).status == 200
    await stopping


async def test_a_request_that_outlasts_the_grace_is_cut_off() -> None:
    running, cut = asyncio.Event(), asyncio.Event()

    async def endless(request: web.BaseRequest) -> Response:
        running.set()
        try:
            await asyncio.Event().wait()
        finally:
            cut.set()
        raise AssertionError

    listener = listener_of(endless)
    await listener.start([LOOPBACK])
    reader, writer = await asyncio.open_connection(listener.bound[0].host, listener.bound[0].port)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await running.wait()
    async with asyncio.timeout(HANG_S):
        await listener.stop(GRACE_S)
        await cut.wait()
        assert await reader.read() == b""
    writer.close()


async def test_an_idle_connection_does_not_delay_the_end() -> None:
    listener = listener_of(hello)
    await listener.start([LOOPBACK])
    reader, writer = await asyncio.open_connection(listener.bound[0].host, listener.bound[0].port)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b"}")
    async with asyncio.timeout(HANG_S):
        await listener.stop(10 * HANG_S)
    assert await reader.read() == b""
    writer.close()


async def test_stopping_what_never_started_is_no_error() -> None:
    await listener_of(hello).stop(GRACE_S)


async def test_a_socket_file_that_hangs_does_not_hold_up_the_end(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = listener_of(hello)
    await listener.start([Address(path=str(file))])
    held = HeldReading[None](None)
    monkeypatch.setattr(listener, "_remove_unix_files", held)
    held.answers.clear()
    try:
        async with asyncio.timeout(HANG_S):
            await listener.stop(GRACE_S)
    finally:
        held.answers.set()


async def test_a_folder_of_sockets_that_hangs_at_the_start_is_an_error_that_names_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = HeldReading[None](None)
    monkeypatch.setattr(sockets, "_remove_stale", lambda _: held())
    monkeypatch.setattr(file_operations, "STALLED_AFTER_S", 0.01)
    held.answers.clear()
    try:
        with pytest.raises(ConfigurationError, match=r"sidecar\.sock: not read within 0\.01 s, the file system hangs"):
            await listener_of(hello).start([Address(path=str(file))])
    finally:
        held.answers.set()
