"""`token`, `status` and the health check of the image with a server that sends wrong, endless or slow responses."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from sidecar.cli import health, print_token, status
from sidecar.cli.main import run
from tests.support.flood import flooding
from tests.support.raw_partner import RawPartner, http, raw_partner, reply, then_say_nothing
from tests.support.replica import HANG_S

LIMIT_S = 0.3
OK = b"HTTP/1.1 200 OK\r\n"
EVIL = "\x1b]0;x\x07\x9b31m\u202e\ud800\n\r\u2028"
"""A terminal title, a C1 control, a text direction, an unpaired surrogate, and line ends."""

ENDLESS = {
    "nothing": (b"", b""),
    "a status line": (OK[:-2], b"K"),
    "header fields": (OK, b"A: b\r\n"),
    "one header field": (OK + b"A: ", b"b"),
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a body": (OK + b"\r\n", b"x"),
    "half a body": (OK + b"Content-Length: 5\r\n\r\nto", b""),
    "a body of an incredible length": (OK + b"Content-Length: 999999999999999\r\n\r\n", b"x"),
    "chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
}
NO_HTTP = {
    "an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"\r\ntoken",
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 3\r\n\r\ntoken",
    "a length that is none": OK + b"Content-Length: 0x5\r\n\r\ntoken",
    "chunks": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\ntoken\r\n0\r\n\r\n",
    "a bare line feed in a field": OK + b"AccessToken: Bearer a\nX: y\r\n\r\n",
    "a bare carriage return in a field": OK + b"AccessToken: Bearer a\rX: y\r\n\r\n",
    "an escape in the reason": b"HTTP/1.1 200 \x1b[31m\r\n\r\ntoken",
    "a folded field": OK + b"AccessToken: Bearer a\r\n b\r\n\r\n",
    "a field without a name": OK + b": x\r\n\r\ntoken",
}


@pytest.fixture
def _short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (print_token, status, health):
        monkeypatch.setattr(module, "_TIMEOUT_S", LIMIT_S)


async def command(partner: RawPartner, *argv: str, **environ: str) -> int:
    return await asyncio.to_thread(run, [*argv, "--url", partner.url], environ)


def assert_harmless(text: str) -> None:
    assert all(char == "\n" or " " <= char <= "~" for char in text), ascii(text)


@pytest.mark.usefixtures("_short_limits")
@pytest.mark.parametrize("drip_s", [0.0, 0.05], ids=["flood", "drip"])
@pytest.mark.parametrize(("first", "then"), ENDLESS.values(), ids=list(ENDLESS))
def test_an_answer_without_end_is_given_up_within_one_limit(
    first: bytes, then: bytes, drip_s: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command has to end by itself: nothing else ends it."""
    with flooding(first, then, drip_s=drip_s) as flood:
        url = f"127.0.0.1:{flood.port}"
        assert [run([name, "--url", url], {}) for name in ("token", "status")] == [1, 3]
        assert health.health({"SIDECAR_ADMIN_LISTEN": url}) == 1
    out, err = capsys.readouterr()
    assert (len(out.splitlines()), len(err.splitlines())) == (1, 2)
    assert_harmless(out + err)


@pytest.mark.usefixtures("_short_limits")
def test_the_look_up_of_a_name_counts_towards_the_limit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    over = threading.Event()
    real = socket.getaddrinfo

    def silent(host: str, port: int, *, type: int, flags: int) -> list[Any]:  # noqa: A002 - the socket module's names
        if flags:
            return real(host, port, type=type, flags=flags)
        over.wait(HANG_S)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    assert run(["status", "--url", "sidecar.invalid:1"], {}) == 3
    over.set()
    assert f"no answer from sidecar.invalid:1 within {LIMIT_S} s" in capsys.readouterr().err


@pytest.mark.parametrize("answer", NO_HTTP.values(), ids=list(NO_HTTP))
async def test_what_is_no_plain_answer_is_no_answer(answer: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    async with raw_partner() as partner:
        partner.play = reply(answer)
        assert [await command(partner, "token", "--format", form) for form in ("raw", "json", "header")] == [1] * 3
        assert await command(partner, "status") == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("does not speak HTTP") == len(err.splitlines()) == 4
    assert_harmless(err)


async def test_an_answer_that_breaks_off_is_no_token(capsys: pytest.CaptureFixture[str]) -> None:
    async with raw_partner() as partner:
        partner.play = reply(OK + b"Content-Length: 10\r\n\r\ntoken")
        assert await command(partner, "token") == 1
    assert capsys.readouterr() == (
        "",
        f"token-sidecar token: the server at {partner.url} closed the connection before the end of its response\n",
    )


async def test_an_answer_of_a_stated_length_is_read_while_the_connection_stays_open(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with raw_partner() as partner:
        partner.play = then_say_nothing(OK + b"Content-Length: 5\r\n\r\ntoken")
        assert await command(partner, "token") == 0
    assert capsys.readouterr().out == "token\n"


@pytest.mark.parametrize(
    "token", ["", "a b", "a\nb", "a\r\nX: y", "a\x1b[31m", "a\x9b", "é", "a\u202eb", "a\x7f"], ids=ascii
)
async def test_a_token_that_could_not_stand_in_a_header_is_not_printed(
    token: str, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.dumps({"accessToken": token}).encode()
    async with raw_partner() as partner:
        partner.play = http("200 OK", token.encode())
        assert await command(partner, "token") == 1
        partner.play = http("200 OK", document)
        assert await command(partner, "token", "--format", "json") == 1
        partner.play = http("204 No Content", b"", f"AccessToken: Bearer {token}".replace("\r\n", "\n"))
        assert await command(partner, "token", "--format", "header") == 1
        for value in (token, f"a b {token}", f"{token} b"):
            fields = f"Token-Header: X\r\nX: {value}\r\nAccessToken: Bearer token"
            partner.play = http("204 No Content", b"", fields)
            assert await command(partner, "token", "--format", "header") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert_harmless(err)


async def test_json_is_printed_in_ascii_and_means_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"accessToken": "token", "profile": f"x{EVIL}\x7fé"}
    async with raw_partner() as partner:
        partner.play = http("200 OK", json.dumps(document).encode())
        assert await command(partner, "token", "--format", "json") == 0
        partner.play = http(
            "200 OK", json.dumps(document | {"profile": "é\x7f\u202e\x9b"}, ensure_ascii=False).encode()
        )
        assert await command(partner, "token", "--format", "json") == 0
    out = capsys.readouterr().out
    assert_harmless(out)
    assert [json.loads(line)["profile"] for line in out.splitlines()] == [document["profile"], "é\x7f\u202e\x9b"]


@pytest.mark.parametrize("place", ["detail", "title", "code", "partner", "retryAfter"])
async def test_a_refusal_is_one_harmless_line(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    problem: dict[str, object] = {"title": "no", "code": "timeout"}
    problem[place] = {"errorMessage": EVIL, EVIL: EVIL, "status": [EVIL]} if place == "partner" else EVIL
    async with raw_partner() as partner:
        partner.play = http("503 Service Unavailable", json.dumps(problem).encode())
        assert await command(partner, "token") == 1
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert_harmless(err)


PROFILE: Mapping[str, Any] = {
    "reason": None, "condition": "fresh", "partner": "p", "baseUrl": "u", "role": "r", "tokenId": "t",
    "expiresAt": "2026-01-01T00:15:00Z", "lifetime": "declared", "nextRefreshAt": None, "cooldownUntil": None,
    "pause": None, "retryAt": None, "budget": {"remaining": 1, "calls": 2, "windowSeconds": 60}, "leaseHolder": "h",
    "credentialsValid": True, "lastError": None,
}  # fmt: skip


def odd_profiles() -> Iterator[Any]:
    """Profiles with one field of a wrong type, and values that are no profile."""
    yield from ([], None, 1, "x", {})
    values: tuple[Any, ...] = (EVIL, [], {}, -1, 1e308, True, {"a": [EVIL]})
    for name in PROFILE:
        yield {key: value for key, value in PROFILE.items() if key != name}
        for value in values:
            yield {**PROFILE, name: value}
    for moment in ("2026-01-01T00:15:00", "x", 1, "9999-12-31T23:59:59Z"):
        yield {**PROFILE, "nextRefreshAt": moment}


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["people", "json"])
async def test_a_status_of_other_fields_is_shown_harmlessly_or_not_at_all(
    form: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    async with raw_partner() as partner:
        for profile in odd_profiles():
            document = {"at": "2026-01-01T00:00:00Z", "version": EVIL, "profiles": {f"a{EVIL}": profile}}
            partner.play = http("200 OK", json.dumps(document).encode())
            assert await command(partner, "status", *form) in (0, 1, 3)
            out, err = capsys.readouterr()
            assert_harmless(out + err)
            assert len(out.splitlines()) < 20, profile


BODIES = {
    "deep": b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    "deep in a profile": b'{"profiles":{"a":' + b"[" * 900 + b"]" * 900 + b"}}",
    "no number": b'{"profiles": {"a": NaN}, "accessToken": "t", "expiresIn": 1e999}',
    "a number without end": b'{"accessToken": "t", "a": ' + b"9" * 10_000 + b"}",
    "latin-1": '{"accessToken": "t", "role": "é"}'.encode("latin-1"),
    "a list": b'["accessToken"]',
    "no profiles": b'{"profiles": {}}',
    "cut off": b'{"accessToken": "t"',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
async def test_a_body_that_is_no_json_of_a_sidecars_is_told_so(body: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    async with raw_partner() as partner:
        partner.play = http("200 OK", body)
        assert await command(partner, "token", "--format", "json") == 1
        assert await command(partner, "status") == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("is not from a sidecar") == len(err.splitlines()) == 2
