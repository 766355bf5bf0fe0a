"""Errors at the limit of open files are named as such, in whichever library they occur."""

from __future__ import annotations

import errno
import socket

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from sidecar.core.errors import PartnerError
from sidecar.file_limit import cause_of, file_limit_error
from sidecar.resolver import system_look_up
from tests.support.exhausted import exhausted
from tests.support.sandbox_bench import CONFIG, open_bench

KEY = ConnectionKey("partner", 443, False, True, None, None, None)


def test_an_error_is_named_by_its_class_or_by_the_limit() -> None:
    assert cause_of(KeyError("x")) == "KeyError"
    assert cause_of(OSError(errno.EMFILE, "")) == "EMFILE"
    assert cause_of(OSError(errno.ENFILE, "")) == "ENFILE"
    assert cause_of(OSError(errno.ENOSPC, "")) == "OSError"
    assert cause_of(aiohttp.ClientConnectorError(KEY, OSError(errno.EMFILE, ""))) == "EMFILE"
    assert cause_of(aiohttp.ClientConnectorError(KEY, ConnectionRefusedError(111, ""))) == "ClientConnectorError"


def test_the_limit_is_detected_only_while_it_is_reached() -> None:
    assert file_limit_error() is None
    with exhausted():
        error = file_limit_error()
    assert error is not None
    assert error.errno == errno.EMFILE


def test_a_look_up_at_the_limit_does_not_report_a_missing_name() -> None:
    with exhausted(), pytest.raises(OSError, match="open files") as caught:
        system_look_up("localhost")
    assert (caught.value.errno, type(caught.value)) == (errno.EMFILE, OSError)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_partner_call_at_the_limit_names_it(host: str) -> None:
    async with open_bench(CONFIG) as bench:
        bench.client._base_url = bench.url.replace("127.0.0.1", host)
        with exhausted(), pytest.raises(PartnerError) as caught:
            await bench.grant()
        assert (caught.value.kind, caught.value.cause) == ("connect", "EMFILE")
        await bench.grant()


def test_a_numeric_address_needs_no_file() -> None:
    with exhausted():
        assert socket.getaddrinfo("127.0.0.1", 1, flags=socket.AI_NUMERICHOST)
