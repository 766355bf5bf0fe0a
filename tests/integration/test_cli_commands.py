"""The commands that send requests to a running sidecar, over real sockets."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sidecar.cli.main import run
from sidecar.cli.status import _when
from sidecar.core.errors import CoolingDownError, FailureKind, PartnerDetail
from sidecar.core.model import Address, Secret
from sidecar.core.partner_table import TokenHeader
from sidecar.core.policy import Condition
from sidecar.core.process_events import StalledFile
from sidecar.credentials.caller_token import CallerTokens
from sidecar.vending.api import LastFailure, Snapshot
from sidecar.web.api.guards import GuardSettings
from tests.support.admin_api import admin_api
from tests.support.fake_provider import NOW, FakeProvider, snapshot, vended
from tests.support.sink import ListSink
from tests.support.status_samples import GATEWAY
from tests.support.vending_service import vending_service
from tests.support.wire import serving

CANARY = "canary-4711-of-some-length"


async def command(*argv: str, **environ: str) -> int:
    """Run a command while the service runs in this event loop."""
    return await asyncio.to_thread(run, argv, environ)


@asynccontextmanager
async def admin(
    *snapshots: Snapshot, stalled: Sequence[StalledFile] = (), **sources: Callable[[str], object]
) -> AsyncIterator[str]:
    """An admin listener with profiles in these states. `sources` as in `AdminSources`."""
    providers = {one.profile: FakeProvider(one.profile) for one in snapshots}
    for one in snapshots:
        providers[one.profile].shown = one
    api = admin_api(providers, stalled_files=lambda: stalled, **sources)
    async with serving(api, ListSink()) as address:
        yield str(address)


async def test_token_prints_the_token_alone(capsys: pytest.CaptureFixture[str]) -> None:
    async with vending_service() as service:
        assert await command("token", "--url", str(service.address)) == 0
    assert capsys.readouterr() == ("access-token-one\n", "")


async def test_token_prints_the_whole_answer_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    async with vending_service() as service:
        assert await command("token", "--url", f"http://{service.address}/", "--format", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["accessToken"], document["profile"]) == ("access-token-one", "default")


@pytest.mark.parametrize(("profile", "name"), [("default", "AccessToken"), ("other", "X-Other")])
async def test_token_prints_the_header_the_profiles_partner_expects(
    profile: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with vending_service() as service:
        assert await command("token", "--url", str(service.address), "--profile", profile, "--format", "header") == 0
    assert capsys.readouterr().out == f"{name}: Bearer access-token-one\n"


@pytest.mark.parametrize(("scheme", "value"), [("", "access-token-one"), ("Token", "Token access-token-one")])
async def test_token_prints_the_header_of_a_partner_with_another_scheme(
    scheme: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with vending_service(other_header=TokenHeader("X-Other", scheme)) as service:
        assert await command("token", "--url", str(service.address), "--profile", "other", "--format", "header") == 0
    assert capsys.readouterr().out == f"X-Other: {value}\n"


async def test_token_looks_where_the_environment_says_and_shows_the_first_caller_token(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    where = Address(path=str(tmp_path_factory.mktemp("s") / "s"))
    secret = tmp_path / "caller"
    secret.write_text(f"\ufeff{CANARY}\r\nanother-caller-token\r\n", encoding="utf-8")
    first = CallerTokens([Secret(CANARY)])
    async with vending_service(GuardSettings(caller_tokens=lambda: first), at=where):
        known = {"SIDECAR_LISTEN": str(where), "SIDECAR_CALLER_TOKEN_FILE": str(secret)}
        assert await command("token", **known) == 0
        assert await command("token", SIDECAR_LISTEN=str(where)) == 1
    out, err = capsys.readouterr()
    assert out == "access-token-one\n"
    assert "(caller-not-allowed)" in err
    assert CANARY not in err


@pytest.mark.parametrize("form", ["raw", "header"])
async def test_a_suspect_token_is_printed_with_a_warning(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with vending_service() as service:
        service.provider.now = None
        service.provider.later = vended(suspect=True)
        assert await command("token", "--url", str(service.address), "--format", form) == 0
    out, err = capsys.readouterr()
    assert "access-token-one\n" in out
    assert err == "token-sidecar token: warning: this token is suspect, no other is available now\n"


async def test_no_token_is_one_line_with_the_reason_and_the_time_to_ask_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    detail = PartnerDetail(status=429, error_code="E7", session_id="s-1")
    async with vending_service() as service:
        service.provider.now = None
        service.provider.later = CoolingDownError("The partner said 429.", retry_after_s=12, partner=detail)
        assert await command("token", "--url", str(service.address)) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "token-sidecar token: The partner said 429. (partner-cooling-down); "
        "partner: status 429, errorCode E7, sessionId s-1; try again in 12 s\n"
    )


async def test_an_unknown_profile_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    async with vending_service() as service:
        assert await command("token", "--url", str(service.address), "--profile", "no/such") == 1
    assert "(unknown-profile)" in capsys.readouterr().err


async def test_the_admin_listener_is_not_taken_for_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    async with admin(snapshot()) as url, vending_service() as service:
        assert await command("token", "--url", url) == 1
        assert await command("status", "--url", str(service.address)) == 3
    vending, status = capsys.readouterr().err.splitlines()
    assert vending.startswith("token-sidecar token: ")
    assert status.endswith("is not from a sidecar: is this the admin listener?")


@pytest.mark.parametrize(("name", "code"), [("token", 1), ("status", 3)])
@pytest.mark.parametrize("url", ["127.0.0.1:1", "unix:/nowhere/s", "https://127.0.0.1:1", "http://[", "127.0.0.1:x"])
async def test_where_no_sidecar_answers_is_said_in_one_line(
    name: str, code: int, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await command(name, "--url", url) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(rf"token-sidecar {name}: (no sidecar answers at|the address must be) .*\n", err)


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", b"HTTP/2 200\r\n\r\n{}"]
)
async def test_what_speaks_no_http_is_said_in_one_line(answer: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    async with answering(answer) as (port, _):
        assert await command("status", "--url", f"127.0.0.1:{port}") == 3
    assert capsys.readouterr().err.endswith(f"the server at 127.0.0.1:{port} does not speak HTTP\n")


async def test_the_sidecar_is_asked_by_the_name_it_was_given_and_heard_to_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with answering(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n", b"to", b"ken\n") as (port, asked):
        assert await command("token", "--url", f"localhost:{port}") == 0
    assert capsys.readouterr().out == "token\n"
    assert asked[0].startswith(f"GET /v1/token HTTP/1.0\r\nHost: localhost:{port}\r\n".encode())


@asynccontextmanager
async def answering(*parts: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that sends these responses in order. Yields its port and the requests it received."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        for part in parts:
            writer.write(part)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1") as server:
        yield server.sockets[0].getsockname()[1], asked


@pytest.mark.parametrize("content", [f"{CANARY}\ncanary", "", f"{CANARY}é", None])
async def test_a_caller_token_that_cannot_be_sent_is_not_shown(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "caller"
    if content is not None:
        path.write_text(content)
    assert await command("token", "--url", "127.0.0.1:1", SIDECAR_CALLER_TOKEN_FILE=str(path)) == 2
    err = capsys.readouterr().err
    assert f"SIDECAR_CALLER_TOKEN_FILE: {path}" in err
    assert CANARY not in err


async def test_status_says_what_matters_of_each_profile(capsys: pytest.CaptureFixture[str]) -> None:
    failure = LastFailure(
        kind=FailureKind.THROTTLED, at=NOW, detail=PartnerDetail(status=429, error_code="E7", session_id="s-1")
    )
    waiting = replace(
        snapshot("late"),
        ready=False,
        condition=Condition.EXPIRED,
        why_not="partner-cooling-down",
        token_id="",
        cooldown_until=NOW + 30,
        pause_kind="throttled",
        pause_until=NOW + 30,
        lease_owner="host-1",
        last_failure=failure,
        store_up=False,
        credentials_valid=False,
    )
    async with admin(snapshot(), waiting) as url:
        assert await command("status", "--url", url) == 1
    text = capsys.readouterr().out
    for said in (
        ": ready, store DOWN",
        "default: fresh",
        "2026-01-01T00:15:00Z",
        "late: partner-cooling-down",
        "until 2026-01-01T00:00:30Z",
        "5 of 6 calls left in 60 s",
        "host-1",
        "REJECTED",
        "throttled 2026-01-01T00:00:00Z",
        "errorCode E7, sessionId s-1",
    ):
        assert said in text


async def test_status_names_the_files_that_hang(capsys: pytest.CaptureFixture[str]) -> None:
    async with admin(snapshot(), stalled=[StalledFile("caller-tokens", "")]) as url:
        assert await command("status", "--url", url) == 0
    assert "hanging files caller-tokens" in " ".join(capsys.readouterr().out.split())


async def test_status_shows_signatures_and_the_gateway_of_the_profile_that_has_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    gateways = {"default": GATEWAY}
    async with admin(snapshot(), snapshot("other"), signatures=lambda _: 71, gateway=gateways.get) as url:
        assert await command("status", "--url", url) == 0
        default, other = capsys.readouterr().out.split("other: fresh")
        assert await command("status", "--url", url, "--json") == 0
    assert json.loads(capsys.readouterr().out)["profiles"]["default"]["gateway"] == GATEWAY
    text = " ".join(default.split())
    for said in (
        "signatures 71 since the start",
        "gateway 127.0.0.1:8282, unix:/run/pay, 2 calls under way",
        "requests 61 answered, 4 not allowed, 5 other errors",
        "not answered 3 partner unreachable, 1 outcome unknown",
        "signed, 400 6 with a token up to 300 s old, 7 with an older one",
    ):
        assert said in text
    assert "gateway" not in other


async def test_status_is_0_when_every_profile_has_a_token_and_json_is_the_document(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with admin(snapshot(), snapshot("other")) as url:
        assert await command("status", "--json", SIDECAR_ADMIN_LISTEN=url) == 0
    assert list(json.loads(capsys.readouterr().out)["profiles"]) == ["default", "other"]


@pytest.mark.parametrize(("condition", "code"), [(Condition.FRESH, 0), (Condition.EXPIRED, 1)])
async def test_a_profile_that_rests_says_so_and_fails_only_without_a_token_to_vend(
    condition: Condition, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    async with admin(replace(snapshot(), resting=True, condition=condition)) as url:
        assert await command("status", "--url", url) == code
    assert "default: resting" in capsys.readouterr().out


async def test_status_says_when_the_partner_may_be_asked_next(capsys: pytest.CaptureFixture[str]) -> None:
    rejected = replace(
        snapshot(), ready=False, condition=Condition.EXPIRED, why_not="credentials-rejected", retry_at=NOW + 120
    )
    async with admin(rejected) as url:
        assert await command("status", "--url", url) == 1
    out = capsys.readouterr().out
    assert "default: credentials-rejected" in out
    assert re.search(r"next try +2026-01-01T00:02:00Z \(in 120 s\)", out), "by the clock of the sidecar, not by ours"


@pytest.mark.parametrize(
    ("passed_s", "said"), [(-4.4, "in 4 s"), (-0.4, "now"), (0.0, "now"), (0.4, "now"), (61.0, "61 s ago")]
)
def test_a_moment_that_is_past_is_never_to_come(passed_s: float, said: str) -> None:
    now = datetime.fromtimestamp(NOW + passed_s, UTC)
    assert _when("2026-01-01T00:00:00Z", now) == f"2026-01-01T00:00:00Z ({said})"
