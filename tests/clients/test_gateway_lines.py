"""The line for each client in docs/gateway.md works as it is printed, except for the address."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import httpx
import pytest
import requests

from tests.clients.gateway_clients import run
from tests.clients.gateway_site import GatewaySite
from tests.clients.site import TOP
from tests.support.programs import found, needs

METHODS = "/api/pay1st/payments/methods"
JAVA = """
import java.net.URI;
import java.net.http.*;
public class Line {
    public static void main(String[] args) throws Exception {
        String path = args[0];
        var request = LINE;
        HttpClient.newHttpClient().send(request.build(), HttpResponse.BodyHandlers.discarding());
    }
}
"""


@pytest.fixture
def line_of(gateway: GatewaySite) -> Callable[[str], str]:
    """Return the one line that begins with a text, for this gateway."""

    def find(start: str) -> str:
        section = (TOP / "docs/gateway.md").read_text().partition("\n## Clients\n")[2].partition("\n## ")[0]
        (line,) = (line.strip() for line in section.splitlines() if line.startswith(f"    {start}"))
        assert "http://127.0.0.1:8282" in line
        return line.replace("http://127.0.0.1:8282", gateway.url)

    return find


@pytest.fixture(autouse=True)
def _arrives(gateway: GatewaySite) -> Iterator[None]:
    """Check after each test that the partner got its request."""
    yield
    assert [(seen.target, "accesstoken" in seen.headers) for seen in gateway.seen] == [(METHODS, True)]


@needs("curl")
def test_curl(line_of: Callable[[str], str]) -> None:
    run("sh", "-c", line_of("curl").replace("curl", "curl -sS"))


def test_requests(line_of: Callable[[str], str]) -> None:
    eval(line_of("requests"), {"requests": requests})


def test_httpx(line_of: Callable[[str], str]) -> None:
    with eval(line_of("httpx"), {"httpx": httpx}) as client:
        client.get(METHODS)


def test_aiohttp(line_of: Callable[[str], str]) -> None:
    async def get() -> None:
        async with eval(line_of("aiohttp"), {"aiohttp": aiohttp}) as session, session.get(METHODS):
            pass

    asyncio.run(get())


@needs("node")
def test_fetch(line_of: Callable[[str], str]) -> None:
    run("node", "--input-type=module", "-e", line_of("await fetch"))


@needs("javac")
def test_java(line_of: Callable[[str], str], tmp_path: Path) -> None:
    (tmp_path / "Line.java").write_text(JAVA.replace("LINE", line_of("HttpRequest")))
    subprocess.run([found("javac") or "javac", tmp_path / "Line.java"], check=True)
    run("java", "-cp", tmp_path, "Line", METHODS)
