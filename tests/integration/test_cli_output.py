"""Commands whose output cannot be written, each a process that a shell starts."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from tests.servers import free_port
from tests.support.commands import START_LIMIT_S
from tests.support.raw_partner import RawPartner, http, raw_partner
from tests.support.replica import until

FULL, CLOSED, READ_ONLY = ">/dev/full", ">&-", "1</dev/null"
CAUSES = {FULL: "No space left on device", CLOSED: "it is closed", READ_ONLY: "Bad file descriptor"}
PROFILE = {
    "reason": None, "condition": "fresh", "partner": "p", "baseUrl": "u", "role": "ü", "tokenId": "", "lastError": None,
    "nextRefreshAt": None, "cooldownUntil": None, "pause": None, "retryAt": None, "leaseHolder": None,
    "budget": {"remaining": 1, "calls": 2, "windowSeconds": 60}, "credentialsValid": True,
}  # fmt: skip
STATUS = http("200 OK", json.dumps({"at": "2026-01-01T00:00:00Z", "profiles": {"default": PROFILE}}).encode())
TOKEN = http("200 OK", b"token\n")
SUSPECT = http("200 OK", b"token\n", "Token-Suspect: true")
CREDENTIALS = {"SIDECAR_API_KEY": "k", "SIDECAR_API_SECRET": "s"}


@pytest.fixture
async def sidecar() -> AsyncIterator[RawPartner]:
    """A server that answers as a sidecar does."""
    async with raw_partner() as sidecar:
        yield sidecar


async def shell(arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run `token-sidecar ARGUMENTS`, with redirections."""
    return await asyncio.to_thread(
        subprocess.run,
        ["/bin/sh", "-c", f"exec '{sys.executable}' -m {'' if 'health' in arguments else 'sidecar '}{arguments}"],
        env={"PATH": os.defpath, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=START_LIMIT_S,
    )


@pytest.mark.parametrize("redirection", CAUSES)
@pytest.mark.parametrize("command", ["token", "status", "status --json"])
async def test_an_answer_that_cannot_be_written_is_a_failure_of_its_own(
    command: str, redirection: str, sidecar: RawPartner
) -> None:
    sidecar.play = TOKEN if command == "token" else STATUS
    done = await shell(f"{command} --url {sidecar.url} {redirection}")
    name = command.partition(" ")[0]
    assert done.stderr == f"token-sidecar {name}: cannot write to stdout: {CAUSES[redirection]}\n"
    assert (done.returncode, done.stdout) == (74, "")


@pytest.mark.parametrize("redirection", [FULL, CLOSED])
@pytest.mark.parametrize(
    "command",
    [
        "--help",
        "--version",
        "serve --help",
        "check",
        "sandbox --listen 127.0.0.1:0",
        "demo --port 0 --admin-port 0 --gateway-port 0",
    ],
)
async def test_every_command_says_that_it_cannot_write(command: str, redirection: str) -> None:
    done = await shell(f"{command} {redirection}", **CREDENTIALS)
    cause = f"cannot write to stdout: {CAUSES[redirection]}"
    assert [line for line in done.stderr.splitlines() if "token-sidecar" in line][-1].endswith(cause)
    assert done.returncode == 74
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("command", ["token", "status", "serve --help"])
async def test_a_pipe_whose_reader_has_gone_is_such_a_failure_too(command: str, sidecar: RawPartner) -> None:
    sidecar.play = TOKEN if command == "token" else STATUS
    reading, writing = os.pipe()
    os.close(reading)
    url = "" if "--help" in command else f"--url {sidecar.url}"
    line = f"exec '{sys.executable}' -m sidecar {command} {url}"
    started = await asyncio.create_subprocess_shell(line, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    _, err = await started.communicate()
    name = command.partition(" ")[0]
    assert err.decode() == f"token-sidecar {name}: cannot write to stdout: Broken pipe\n"
    assert started.returncode == 74


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-"])
@pytest.mark.parametrize(
    ("command", "code"),
    [("status --url 127.0.0.1:1", 3), ("token --url 127.0.0.1:1", 1), ("nonsense", 2), ("serve", 2), ("--version", 0)],
)
async def test_what_cannot_be_said_on_stderr_changes_no_code(command: str, code: int, redirection: str) -> None:
    done = await shell(f"{command} {redirection}")
    assert (done.returncode, done.stderr) == (code, "")
    assert "sidecar:" not in done.stdout


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-"])
async def test_no_warning_gets_between_a_token_and_who_reads_it(redirection: str, sidecar: RawPartner) -> None:
    sidecar.play = SUSPECT
    done = await shell(f"token --url {sidecar.url} {redirection}")
    assert (done.returncode, done.stdout) == (0, "token\n")


async def test_a_terminal_that_knows_ascii_alone_gets_the_status_all_the_same(sidecar: RawPartner) -> None:
    sidecar.play = STATUS
    done = await shell(f"status --url {sidecar.url}", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "as \\xfc" in done.stdout


@pytest.mark.parametrize("redirection", ["", FULL, CLOSED])
async def test_the_health_check_has_two_codes_whatever_becomes_of_its_words(redirection: str) -> None:
    done = await shell(f"sidecar.cli.health {redirection}", SIDECAR_ADMIN_LISTEN="127.0.0.1:1")
    assert (done.returncode, done.stderr) == (1, "")


async def test_a_service_without_any_standard_stream_serves_and_ends_with_0() -> None:
    """Sockets must not get the numbers of closed standard streams."""
    admin = f"127.0.0.1:{free_port()}"
    line = f"exec '{sys.executable}' -m sidecar serve <&- >&- 2>&-"
    environ = {"SIDECAR_LISTEN": "127.0.0.1:0", "SIDECAR_ADMIN_LISTEN": admin, "SIDECAR_BASE_URL": "http://127.0.0.1:1"}
    environ |= {**CREDENTIALS, "SIDECAR_DRAIN_S": "0"}
    serve = await asyncio.create_subprocess_exec("/bin/sh", "-c", line, env=environ)
    try:
        await until(lambda: serve.returncode is not None or _is_alive(admin))
        serve.terminate()
        assert await serve.wait() == 0
    finally:
        with suppress(ProcessLookupError):
            serve.kill()


def _is_alive(admin: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"http://{admin}/livez", timeout=START_LIMIT_S) as answer:
        return bool(answer.status == 200)
    return False
