"""What `check` and the start say about the settings of a gateway."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.app.check import CheckLine, check
from sidecar.app.running import load_settings
from sidecar.app.service import Service

WHAT = "gateway of profile default"
FORWARDED = "forwards GET /api/pay1st/*, POST /api/pay1st/payments/create, POST /api/pay1st/payments/fulfilments"
REFUSES = "without a file signing-key in SIDECAR_CREDENTIALS_DIR it refuses"
REFUSED = f"{REFUSES} POST /api/pay1st/payments/create, POST /api/pay1st/payments/fulfilments"

Environ = dict[str, str]


@pytest.fixture
def environ(tmp_path: Path) -> Environ:
    """Of a gateway without a signing key, and a partner that does not exist."""
    for name in ("api-key", "api-secret"):
        (tmp_path / name).write_text("kanary")
    return {
        "SIDECAR_BASE_URL": "http://127.0.0.1:9",
        "SIDECAR_CREDENTIALS_DIR": str(tmp_path),
        "SIDECAR_LISTEN": "127.0.0.1:0",
        "SIDECAR_ADMIN_LISTEN": "127.0.0.1:0",
        "SIDECAR_GATEWAY_LISTEN": "127.0.0.1:0",
    }


async def gateway_lines(environ: Environ) -> list[CheckLine]:
    return [line for line in await check(load_settings(environ), live=False) if "gateway" in line.what]


async def warnings(environ: Environ) -> list[str]:
    log = io.StringIO()
    service = Service(load_settings(environ), log=log)
    await service.start()
    await service.stop()
    events = [json.loads(line) for line in log.getvalue().splitlines()]
    return [event["warning"] for event in events if event["event"] == "configuration_warning"]


async def test_without_a_signing_key_both_say_what_is_refused(environ: Environ) -> None:
    assert await gateway_lines(environ) == [
        CheckLine(True, WHAT, FORWARDED),
        CheckLine(True, WHAT, REFUSED, is_note=True),
    ]
    assert await warnings(environ) == [f"{WHAT}: {REFUSED}"]


async def test_with_a_signing_key_nothing_is_refused(environ: Environ, tmp_path: Path) -> None:
    (tmp_path / "signing-key").write_text("kanary")
    assert await gateway_lines(environ) == [CheckLine(True, WHAT, FORWARDED)]
    assert await warnings(environ) == []


async def test_a_gateway_that_only_reads_needs_no_key(environ: Environ) -> None:
    environ["SIDECAR_GATEWAY_ALLOW"] = "GET /api/pay1st/payments*"
    assert await gateway_lines(environ) == [CheckLine(True, WHAT, "forwards GET /api/pay1st/payments*")]
    assert await warnings(environ) == []
    environ["SIDECAR_GATEWAY_SIGN"] = "all"
    assert (await gateway_lines(environ))[1].detail == f"{REFUSES} GET /api/pay1st/payments*"
    assert len(await warnings(environ)) == 1


@pytest.mark.parametrize("readable", [True, False])
async def test_a_list_with_authentication_fails_whatever_the_credentials_are(
    readable: bool, environ: Environ, tmp_path: Path
) -> None:
    environ["SIDECAR_GATEWAY_ALLOW"] = "POST /api/pay1st/auth/token"
    if not readable:
        (tmp_path / "api-key").unlink()
    (line,) = await gateway_lines(environ)
    assert (line.ok, line.detail) == (
        False,
        "profile default: the gateway never forwards authentication: remove POST /api/pay1st/auth/token",
    )


async def test_without_a_gateway_nothing_is_said(environ: Environ) -> None:
    del environ["SIDECAR_GATEWAY_LISTEN"]
    assert await gateway_lines(environ) == []
    assert await warnings(environ) == []


@pytest.mark.parametrize("listen", ["127.0.0.1:0", ""])
def test_a_check_loads_the_gateway_only_where_one_is_set_up(listen: str, environ: Environ) -> None:
    source = (
        "import sys, json; from sidecar.cli.main import run; run(['check'], json.loads(sys.argv[1]));"
        "print('sidecar.gateway' in sys.modules)"
    )
    environ["SIDECAR_GATEWAY_LISTEN"] = listen
    command = [sys.executable, "-c", source, json.dumps(environ)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == str(bool(listen))
