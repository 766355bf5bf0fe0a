"""Look-ups of names: none waits for another, and found addresses are kept."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest

from sidecar.resolver import MAX_REMEMBERED, MAX_UNDER_WAY, THREAD_NAME, IpAddresses, Resolver, system_look_up
from tests.support.replica import until
from tests.support.zone import AGAIN, UNKNOWN, Zone

A, B = ("192.0.2.1", "2001:db8::1"), ("192.0.2.2",)
NEVER_S = 60
"""Longer than a test lasts."""


@pytest.fixture
def zone() -> Iterator[Zone]:
    made = Zone(redis=A, partner=B)
    yield made
    made.answer()


def look_ups_under_way() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD_NAME]


async def test_a_look_up_without_an_answer_delays_no_other(zone: Zone) -> None:
    resolver = Resolver(NEVER_S, zone.look_up)
    zone.silence("redis")
    silent = [asyncio.create_task(resolver.resolve("redis")) for _ in range(20)]
    assert await resolver.resolve("partner") == B
    assert not any(task.done() for task in silent)
    zone.answer()
    assert await asyncio.gather(*silent) == [A] * 20


async def test_a_name_is_looked_up_once_at_a_time_in_a_daemon_thread(zone: Zone) -> None:
    resolver = Resolver(NEVER_S, zone.look_up)
    zone.silence("redis")
    waiting = [asyncio.create_task(resolver.resolve("redis")) for _ in range(20)]
    await until(lambda: zone.asked == ["redis"])
    for task in waiting[:10]:
        task.cancel()
    await asyncio.wait(waiting[:10])
    waiting.append(asyncio.create_task(resolver.resolve("redis")))
    assert [thread.daemon for thread in look_ups_under_way()] == [True]
    zone.answer()
    assert await asyncio.gather(*waiting[10:]) == [A] * 11
    assert zone.asked == ["redis"]


async def test_the_result_of_a_look_up_is_used_from_the_next_one_on(zone: Zone) -> None:
    resolver = Resolver(NEVER_S, zone.look_up)
    assert await resolver.resolve("redis") == A
    zone.addresses["redis"] = B
    assert await resolver.resolve("redis") == B


async def test_the_last_addresses_are_used_while_the_zone_fails(zone: Zone) -> None:
    resolver = Resolver(NEVER_S, zone.look_up)
    await resolver.resolve("redis")
    zone.addresses["redis"] = AGAIN
    assert await resolver.resolve("redis") == A


async def test_after_a_short_wait_the_last_addresses_are_used_until_the_late_answer_comes(zone: Zone) -> None:
    resolver = Resolver(0.01, zone.look_up)
    await resolver.resolve("redis")
    zone.addresses["redis"] = B
    zone.silence("redis")
    assert [await resolver.resolve("redis") for _ in range(3)] == [A] * 3
    assert zone.asked == ["redis"] * 2, "one at a time"
    zone.answer()
    await until(lambda: not look_ups_under_way())
    zone.silence("redis")
    assert await resolver.resolve("redis") == B


async def test_the_addresses_of_a_removed_name_are_not_used(zone: Zone) -> None:
    resolver = Resolver(NEVER_S, zone.look_up)
    await resolver.resolve("redis")
    zone.addresses["redis"] = UNKNOWN
    with pytest.raises(socket.gaierror):
        await resolver.resolve("redis")


async def test_a_name_that_was_never_found_is_an_error_for_each_caller(zone: Zone) -> None:
    resolver = Resolver(NEVER_S, zone.look_up)
    zone.addresses["redis"] = AGAIN
    answers = await asyncio.gather(*(resolver.resolve("redis") for _ in range(3)), return_exceptions=True)
    assert answers == [AGAIN] * 3


@pytest.mark.parametrize("literal", ["192.0.2.7", "2001:db8::7", "::1"])
async def test_an_address_needs_no_look_up(zone: Zone, literal: str) -> None:
    assert await Resolver(NEVER_S, zone.look_up).resolve(literal) == (literal,)
    assert not zone.asked


async def test_the_number_of_threads_is_bounded_for_any_number_of_names(zone: Zone) -> None:
    resolver = Resolver(0.01, zone.look_up)
    await resolver.resolve("partner")
    many = [f"n{number}" for number in range(MAX_UNDER_WAY)]
    zone.addresses |= dict.fromkeys(many, A)
    zone.silence(*many)
    waiting = [asyncio.create_task(resolver.resolve(name)) for name in many]
    await until(lambda: len(look_ups_under_way()) == MAX_UNDER_WAY)
    with pytest.raises(socket.gaierror):
        await resolver.resolve("redis")
    assert await resolver.resolve("partner") == B
    assert len(look_ups_under_way()) == MAX_UNDER_WAY
    zone.answer()
    assert await asyncio.gather(*waiting) == [A] * MAX_UNDER_WAY


async def test_the_number_of_remembered_names_is_bounded(zone: Zone) -> None:
    resolver = Resolver(NEVER_S, zone.look_up)
    await resolver.resolve("partner")
    for number in range(MAX_REMEMBERED):
        await resolver.resolve("redis")
        zone.addresses[f"n{number}"] = A
        await resolver.resolve(f"n{number}")
    zone.addresses |= {"redis": AGAIN, "partner": AGAIN}
    assert await resolver.resolve("redis") == A
    with pytest.raises(socket.gaierror):
        await resolver.resolve("partner")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_look_up_that_fails_is_an_error_at_once() -> None:
    def broken(host: str) -> IpAddresses:
        raise ZeroDivisionError(host)

    with pytest.raises(socket.gaierror):
        await Resolver(NEVER_S, broken).resolve("redis")
    for thread in look_ups_under_way():
        thread.join()  # its exception is reported when the thread ends


async def test_a_thread_that_cannot_be_started_is_an_error(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    with pytest.raises(socket.gaierror):
        await Resolver(NEVER_S, zone.look_up).resolve("redis")


@pytest.mark.parametrize("name", ["", "x" * 300, "a\0b", "a..b", "\ud800"])
def test_an_invalid_name_is_not_found(name: str) -> None:
    with pytest.raises(OSError, match=r"\w"):
        system_look_up(name)


def test_the_systems_answer_has_each_address_once_and_a_name_of_this_machine_is_found_without_a_network() -> None:
    found = system_look_up("localhost")
    assert found
    assert set(found) <= {"127.0.0.1", "::1"}
    assert len(found) == len(set(found))


class GetAddrInfo:
    """Replaces `socket.getaddrinfo` as on a machine without IPv6: omits ::1 where the flag requires that."""

    def __init__(self, hidden: int) -> None:
        self.flags: list[int] = []
        self._hidden = hidden

    def __call__(
        self,
        host: str,
        port: None,
        *,
        type: int,  # noqa: A002 - the system's name for it
        flags: int,
    ) -> list[tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int, int, int]]]:
        self.flags.append(flags)
        if flags & socket.AI_ADDRCONFIG:
            raise socket.gaierror(self._hidden, "nothing for this machine")
        return [(socket.AF_INET6, socket.SOCK_STREAM, 0, "", ("::1", 0, 0, 0))]


def test_a_name_with_only_a_loopback_address_is_found_on_a_machine_without_its_family(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    system = GetAddrInfo(socket.EAI_NONAME)
    monkeypatch.setattr(socket, "getaddrinfo", system)
    assert system_look_up("redis") == ("::1",)
    assert system.flags == [socket.AI_ADDRCONFIG, 0]


def test_a_zone_without_an_answer_is_queried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    system = GetAddrInfo(socket.EAI_AGAIN)
    monkeypatch.setattr(socket, "getaddrinfo", system)
    with pytest.raises(socket.gaierror):
        system_look_up("redis")
    assert system.flags == [socket.AI_ADDRCONFIG]
