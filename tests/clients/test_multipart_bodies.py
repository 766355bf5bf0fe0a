"""After a 401 a multipart body is sent to the partner again as a whole, or not at all."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import aiohttp
import pytest

from sidecar.client.aiohttp import SidecarAuth
from tests.clients.refuser import Refuser
from tests.clients.site import Site

CONTENT = b"the-content-of-the-part"


async def stream() -> AsyncIterator[bytes]:
    yield CONTENT[:5]
    yield CONTENT[5:]


@contextmanager
def pipe() -> Iterator[io.BufferedReader]:
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as end:
        end.write(CONTENT)
    with os.fdopen(reading, "rb") as end:
        yield end


@pytest.mark.parametrize(
    ("part", "sent"),
    [
        (lambda: nullcontext(stream()), 1),
        (pipe, 1),
        (lambda: nullcontext(CONTENT), 2),
        (lambda: io.BytesIO(CONTENT), 2),
    ],
    ids=["generator", "pipe", "bytes", "file"],
)
def test_a_part_is_never_sent_empty(
    part: Callable[[], AbstractContextManager[Any]], sent: int, site: Site, refuser: Refuser
) -> None:
    async def send() -> int:
        with part() as content, aiohttp.MultipartWriter("form-data") as body:
            body.append(content).set_content_disposition("form-data", name="file")
            async with (
                aiohttp.ClientSession(middlewares=[SidecarAuth(site.url)]) as session,
                session.post(f"{refuser.url}/upload", data=body) as response,
            ):
                return response.status

    assert asyncio.run(send()) == 401
    assert [CONTENT in body for _, _, body in refuser.seen] == [True] * sent
