"""`sidecar.client` with a caller token in a file, while it is rotated on both sides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import aiohttp
import httpx
import pytest

from sidecar.client.aiohttp import SidecarAuth as AiohttpAuth
from sidecar.client.errors import TokenUnavailableError
from sidecar.client.httpx import SidecarAuth as HttpxAuth
from tests.clients.site import CALLER_TOKEN, Site
from tests.sentinels import wait_until
from tests.support.commands import START_LIMIT_S

NEXT, LAST = "canary-next-caller-token", "canary-last-caller-token"
LINES = (CALLER_TOKEN, NEXT, LAST)
Auth: TypeAlias = HttpxAuth | AiohttpAuth


def _httpx(auth: HttpxAuth, url: str) -> int:
    with httpx.Client(auth=auth, trust_env=False) as client:
        return client.get(url).status_code


def _httpx_async(auth: HttpxAuth, url: str) -> int:
    async def send() -> int:
        async with httpx.AsyncClient(auth=auth, trust_env=False) as client:
            return (await client.get(url)).status_code

    return asyncio.run(send())


def _aiohttp(auth: AiohttpAuth, url: str) -> int:
    async def send() -> int:
        async with aiohttp.ClientSession(middlewares=[auth]) as session, session.get(url) as response:
            return response.status

    return asyncio.run(send())


class App:
    """One auth object for all requests, as in apps, and its own caller token file."""

    def __init__(self, auth: type[Auth], send: Callable[..., int], site: Site, folder: Path) -> None:
        self._site, self._send = site, send
        self.file, self.sidecars_file = folder / "apps-caller-token", folder / "caller-token"
        self.write(CALLER_TOKEN)
        self.auth = auth(site.url, caller_token_file=self.file)

    def write(self, *lines: str) -> None:
        self.file.write_text("\n".join(lines))

    def rotate_the_sidecar(self, *lines: str) -> None:
        """Wait until the sidecar, which polls its file, accepts only these lines."""
        self.sidecars_file.write_text("\n".join(lines))
        wait_until(lambda: all(self._accepts(line) == (line in lines) for line in LINES), START_LIMIT_S)

    def _accepts(self, line: str) -> bool:
        headers = {"Sidecar-Request": "true", "Authorization": f"Bearer {line}"}
        return httpx.get(f"{self._site.url}/v1/token", headers=headers, trust_env=False).status_code == 200

    def get(self) -> int:
        return self._send(self.auth, self._site.partner.probe_url)


@pytest.fixture(params=[_httpx, _httpx_async, _aiohttp], ids=["httpx", "httpx-async", "aiohttp"])
def app(request: pytest.FixtureRequest, locked_site: Site, folder: Path) -> App:
    return App(AiohttpAuth if request.param is _aiohttp else HttpxAuth, request.param, locked_site, folder)


def test_a_rotation_in_the_documented_steps_fails_no_request(app: App) -> None:
    assert app.get() == 200
    app.rotate_the_sidecar(CALLER_TOKEN, NEXT)
    assert app.get() == 200
    app.write(NEXT)
    assert app.get() == 200
    app.rotate_the_sidecar(NEXT)
    assert app.get() == 200


def test_if_the_sidecar_rejects_the_first_line_the_next_is_tried(app: App) -> None:
    app.write(CALLER_TOKEN, NEXT)
    app.rotate_the_sidecar(NEXT)
    assert app.get() == 200
    app.rotate_the_sidecar(LAST)
    with pytest.raises(TokenUnavailableError, match="caller-not-allowed"):
        app.get()


def test_a_report_is_sent_with_the_accepted_line_too(app: App, locked_site: Site) -> None:
    assert app.get() == 200
    locked_site.partner.revoke()
    app.write(CALLER_TOKEN, NEXT)
    app.rotate_the_sidecar(NEXT)
    assert app.get() == 200
    assert locked_site.partner.probes() == {"200": 2, "401": 1}


@pytest.mark.parametrize("content", ["", "short", "canary caller token with spaces", "\0" * 20, None])
def test_a_file_that_becomes_unusable_changes_nothing(app: App, content: str | None) -> None:
    assert app.get() == 200
    if content is None:
        app.file.unlink()
    else:
        app.write(content)
    assert app.get() == 200


@pytest.mark.parametrize("content", ["", "short", "canary caller token with spaces", "canary-\0-caller-token", None])
@pytest.mark.parametrize("auth", [HttpxAuth, AiohttpAuth])
def test_a_file_that_is_unusable_at_the_start_is_named_and_not_shown(
    auth: type[Auth], content: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "caller"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match="the caller token file must") as caught:
        auth(caller_token_file=path)
    assert str(path) in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("auth", [HttpxAuth, AiohttpAuth])
def test_a_text_and_a_file_together_are_refused(auth: type[Auth], tmp_path: Path) -> None:
    path = tmp_path / "caller"
    path.write_text(CALLER_TOKEN)
    with pytest.raises(ValueError, match="not as both"):
        auth(caller_token=CALLER_TOKEN, caller_token_file=path)
    assert CALLER_TOKEN not in repr(auth(caller_token_file=str(path)))
