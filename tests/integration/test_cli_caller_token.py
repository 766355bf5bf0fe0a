"""`token` sends the caller token only where it belongs."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from sidecar.cli import http_client
from sidecar.cli.main import run
from tests.support.raw_partner import RawPartner, http, raw_partner

CALLER_TOKEN = "canary-caller-token"


@pytest.fixture
def caller_token(tmp_path: Path) -> dict[str, str]:
    """The environment of a command with a caller token."""
    path = tmp_path / "caller-token"
    path.write_text(CALLER_TOKEN)
    return {"SIDECAR_CALLER_TOKEN_FILE": str(path)}


async def command(partner: RawPartner, *argv: str, **environ: str) -> int:
    return await asyncio.to_thread(run, [*argv, "--url", partner.url], environ)


async def test_the_caller_token_stays_on_this_machine_unless_told_otherwise(
    caller_token: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with raw_partner() as partner:
        partner.play = http("200 OK", b"token")
        assert await command(partner, "token", **caller_token) == 0
        monkeypatch.setattr(http_client, "is_loopback", lambda _: False)
        assert await command(partner, "token", **caller_token) == 2
        assert len(partner.received) == 1
        assert await command(partner, "token", "--allow-remote", **caller_token) == 0
        assert await command(partner, "token") == 0
        assert await command(partner, "status", **caller_token) == 3
    shown = [b"Authorization: Bearer " + CALLER_TOKEN.encode() in head for head in partner.received]
    assert shown == [True, True, False, False]
    assert "--allow-remote" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["192.0.2.1:1", "http://[2001:db8::1]:1", "http://0.0.0.0:1", "[::ffff:192.0.2.1]:1"])
def test_a_remote_address_is_not_even_tried_with_the_caller_token(
    url: str, caller_token: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["token", "--url", url], caller_token) == 2
    err = capsys.readouterr().err
    assert "is neither: see --allow-remote" in err
    assert CALLER_TOKEN not in err


async def test_of_a_names_addresses_the_caller_token_goes_to_loopback_alone(
    caller_token: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo
    named: list[str] = []

    def spread(host: str, port: int, *, type: int, flags: int = 0) -> list[Any]:  # noqa: A002 - the module's names
        if host != "sidecar.example" or flags:
            return real(host, port, type=type, flags=flags)
        return [one for address in named for one in real(address, port, type=type)]

    monkeypatch.setattr(socket, "getaddrinfo", spread)
    async with raw_partner() as partner:
        partner.play = http("200 OK", b"token")
        partner.url = partner.url.replace("127.0.0.1", "sidecar.example")
        named[:] = ["192.0.2.1", "127.0.0.1"]
        assert await command(partner, "token", **caller_token) == 0
        named[:] = ["127.0.0.2", "127.0.0.1"]
        assert await command(partner, "token", **caller_token) == 0
        named[:] = ["192.0.2.1"]
        assert await command(partner, "token", **caller_token) == 2
    assert len(partner.received) == 2
