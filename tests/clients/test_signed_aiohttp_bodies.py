"""`sidecar.client.aiohttp` with `sign`: the bytes that are sent are those that were signed, or nothing is sent."""

from __future__ import annotations

import asyncio
import base64
import gc
import io
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp
import pytest
from multidict import CIMultiDict

from sidecar.client.aiohttp import SidecarAuth
from sidecar.client.errors import TokenUnavailableError
from tests.clients.numbered_sidecar import SIGNATURE, NumberedSidecar
from tests.clients.redirector import Redirector

CONTENT = b"the-content-of-the-part-\xff"
Send: TypeAlias = Callable[..., int]


@pytest.fixture
def send(sidecar: NumberedSidecar, origin: Redirector) -> Send:
    """Sends what `body` returns, a number of times in one session."""

    def send(body: Callable[[], Any], path: str = "/", times: int = 1, **options: Any) -> int:  # noqa: ANN401 - aiohttp's own
        async def sending() -> int:
            status, data = 0, body()
            async with aiohttp.ClientSession(middlewares=[SidecarAuth(sidecar.url, sign=True)]) as session:
                for _ in range(times):
                    async with session.post(origin.url + path, data=data, **options) as response:
                        status = response.status
            if isinstance(data, io.IOBase):
                # aiohttp does not close a pipe.
                data.close()
            return status

        return asyncio.run(sending())

    return send


def agree(sidecar: NumberedSidecar, origin: Redirector) -> bool:
    """Return whether each body that the partner got is the one that the sidecar signed for it."""
    signed = {f"canary-signature-{number}": body for number, (_, body) in enumerate(sidecar.seen, 1)}
    return all(signed[dict(seen.headers)[SIGNATURE]] == seen.body for seen in origin.seen)


async def stream() -> AsyncIterator[bytes]:
    yield CONTENT[:5]
    yield CONTENT[5:]


def multipart(part: object) -> aiohttp.MultipartWriter:
    writer = aiohttp.MultipartWriter("form-data")
    writer.append(part).set_content_disposition("form-data", name="file")
    return writer


def encoded(part: object) -> aiohttp.MultipartWriter:
    writer = aiohttp.MultipartWriter("mixed")
    writer.append(part, CIMultiDict({"Content-Transfer-Encoding": "base64"}))
    return writer


def pipe() -> io.BufferedReader:
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as end:
        end.write(CONTENT)
    return os.fdopen(reading, "rb")


@pytest.mark.parametrize(
    "body",
    [
        lambda: bytearray(CONTENT),
        lambda: memoryview(CONTENT),
        lambda: io.StringIO("text \u00fc"),
        lambda: aiohttp.JsonPayload({"text": "\u00fc"}),
        stream,
        pipe,
        lambda: multipart(CONTENT),
        lambda: multipart(io.BytesIO(CONTENT)),
    ],
    ids=["bytearray", "memoryview", "text", "json", "generator", "pipe", "multipart", "multipart file"],
)
def test_each_body_is_signed_as_it_is_sent_also_after_a_401(
    body: Callable[[], object], send: Send, sidecar: NumberedSidecar, origin: Redirector
) -> None:
    origin.status = 401
    assert send(body) == 401
    first, second = (seen.body for seen in origin.seen)
    assert first == second
    assert len(first) > len("text ")
    assert agree(sidecar, origin)


@pytest.mark.parametrize("part", [lambda: CONTENT, stream], ids=["bytes", "generator"])
def test_an_encoded_part_is_signed_encoded(
    part: Callable[[], object], send: Send, sidecar: NumberedSidecar, origin: Redirector
) -> None:
    origin.status = 401
    assert send(lambda: encoded(part())) == 401
    assert [base64.b64encode(CONTENT) in seen.body for seen in origin.seen] == [True, True]
    assert agree(sidecar, origin)


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_keeps_the_type_of_the_body(
    status: int, send: Send, sidecar: NumberedSidecar, origin: Redirector
) -> None:
    origin.locations["/go"] = status, "/here"
    assert send(lambda: multipart(CONTENT), "/go") == 200
    first, second = (dict(seen.headers)["content-type"] for seen in origin.seen)
    assert first == second
    assert first.startswith("multipart/form-data; boundary=")
    assert agree(sidecar, origin)


def test_a_file_is_sent_from_its_position(
    tmp_path: Path, send: Send, sidecar: NumberedSidecar, origin: Redirector
) -> None:
    (tmp_path / "body").write_bytes(CONTENT)

    def file() -> io.BufferedReader:
        opened = (tmp_path / "body").open("rb")
        opened.seek(4)
        return opened

    assert send(file) == 200
    assert [seen.body for seen in origin.seen] == [CONTENT[4:]]
    assert agree(sidecar, origin)


def test_a_large_body_that_is_no_bytes_gives_no_warning(
    send: Send, sidecar: NumberedSidecar, origin: Redirector
) -> None:
    """aiohttp warns of more than 1 MiB of `bytes`; every warning is an error here."""
    assert send(lambda: io.BytesIO(bytes(3 << 20))) == 200
    assert [len(seen.body) for seen in origin.seen] == [3 << 20]
    assert agree(sidecar, origin)


def test_a_body_that_aiohttp_compresses_is_refused(send: Send, sidecar: NumberedSidecar, origin: Redirector) -> None:
    with pytest.raises(ValueError, match="aiohttp compresses cannot be signed"):
        send(lambda: CONTENT, compress=True)
    assert (sidecar.seen, origin.seen) == ([], [])


def test_a_body_that_was_read_before_is_refused(send: Send, sidecar: NumberedSidecar, origin: Redirector) -> None:
    """aiohttp alone sends an empty part the second time."""
    with pytest.raises(ValueError, match="read before cannot be signed"):
        send(lambda: multipart(io.BytesIO(CONTENT)), times=2)
    assert (len(sidecar.seen), len(origin.seen)) == (1, 1)


def test_the_connection_of_a_refused_body_is_closed_at_once(folder: Path) -> None:
    """Also if the rest of the body is never read. Python warns of an open one, and every warning is an error here."""
    problem = b'{"code": "payload-too-large"}'

    async def refused(url: str) -> bool:
        async with aiohttp.ClientSession(middlewares=[SidecarAuth(url, sign=True)]) as session:
            try:
                await session.post("http://partner.invalid", data=io.BytesIO(bytes(1 << 20)))
            except TokenUnavailableError as error:
                return error.code == "payload-too-large"
        return False

    def refuse(listener: socket.socket, over: threading.Event) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1)
            connection.sendall(b"HTTP/1.1 413 No\r\nContent-Length: %d\r\n\r\n%b" % (len(problem), problem))
            over.wait()

    over = threading.Event()
    with socket.socket(socket.AF_UNIX) as listener, ThreadPoolExecutor() as threads:
        # A unix socket holds less than one write of aiohttp.
        listener.bind(str(folder / "sock"))
        listener.listen()
        threads.submit(refuse, listener, over)
        try:
            assert asyncio.run(refused(f"unix:{folder}/sock"))
            gc.collect()
        finally:
            over.set()
