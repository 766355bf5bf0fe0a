"""Each exception that aiohttp raises has a kind of failure."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

import aiohttp
import pytest

from sidecar.core.errors import FailureKind
from sidecar.partner.transport import KINDS, TRANSPORT_ERRORS, kind_of_error


def with_subclasses(base: type[BaseException]) -> Iterator[type[BaseException]]:
    yield base
    for child in base.__subclasses__():
        yield from with_subclasses(child)


def test_every_client_error_of_the_library_is_mapped_by_name() -> None:
    """If this fails, aiohttp has a new class: decide on its kind of failure, and add it."""
    ours = {error for error in with_subclasses(aiohttp.ClientError) if error.__module__.startswith("aiohttp.")}
    assert sorted(error.__name__ for error in ours - KINDS.keys()) == []


def test_every_mapped_error_is_caught() -> None:
    assert [error for error in KINDS if not issubclass(error, TRANSPORT_ERRORS)] == []


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError(), FailureKind.TIMEOUT),
        (ConnectionResetError(), FailureKind.CONNECT),
        (socket.gaierror(), FailureKind.CONNECT),
        (ssl.SSLCertVerificationError(), FailureKind.CONNECT),
        (UnicodeError(), FailureKind.BAD_REQUEST),
        (aiohttp.SocketTimeoutError(), FailureKind.TIMEOUT),
        (aiohttp.ServerDisconnectedError(), FailureKind.CONNECT),
        (aiohttp.ClientPayloadError(), FailureKind.MALFORMED),
        (KeyError(), FailureKind.CONNECT),
    ],
)
def test_an_error_has_the_kind_of_its_nearest_known_base(error: BaseException, kind: FailureKind) -> None:
    assert kind_of_error(error) is kind
