"""The commands as processes, from start to end."""

from __future__ import annotations

import base64
import itertools
import json
import re
import shlex
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.servers import free_port
from tests.support.commands import START_LIMIT_S, process, wait_for

CANARY = "canary-4711"

PROXIES = {"HTTP_PROXY": "http://127.0.0.1:1", "http_proxy": "http://127.0.0.1:1"}
"""Proxies at a port where nothing listens."""


def spoken(demo: subprocess.Popen[str]) -> tuple[str, bytes]:
    """Return the URL and the body of the next curl line that posts."""
    line = wait_for(r"curl (-d .*|-X POST .*)", demo.stdout)
    body = re.search(r"-d '([^']*)'", line)
    return line.split()[-1], body[1].encode() if body else b""


def post(url: str, body: bytes) -> int:
    with urllib.request.urlopen(url, data=body, timeout=START_LIMIT_S) as answer:
        return int(answer.status)


def test_asking_for_a_token_loads_nothing_of_the_service() -> None:
    """Imports cost start time."""
    source = (
        "import sys; from sidecar.cli.main import run; run(['token', '--url', '127.0.0.1:1'], {});"
        "late = 'aiohttp', 'asyncio', 'redis', 'sidecar.core.events', 'structlog', 'uvloop';"
        "print([name for name in late if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_command_without_somewhere_to_speak_ends_with_its_code(closed: str) -> None:
    line = f"exec '{sys.executable}' -m sidecar status --url 127.0.0.1:1 {closed}"
    assert subprocess.run(["/bin/sh", "-c", line], check=False, timeout=60).returncode == 3


GATEWAY = ["sidecar.app.gateways", "sidecar.gateway", "sidecar.telemetry.gateway"]


@pytest.mark.parametrize(
    ("settings", "needed"),
    [
        ({"SIDECAR_STORE": "memory://"}, []),
        ({"SIDECAR_STORE": "redis://127.0.0.1:1"}, ["cryptography", "redis"]),
        ({"SIDECAR_GATEWAY_LISTEN": "127.0.0.1:0"}, GATEWAY),
    ],
    ids=["memory", "redis", "gateway"],
)
def test_a_service_loads_what_its_settings_need(settings: dict[str, str], needed: list[str], tmp_path: Path) -> None:
    """Each of these modules costs memory and start time in every pod."""
    (tmp_path / "seal-key").write_bytes(base64.b64encode(bytes(32)))
    environ = {
        "SIDECAR_LISTEN": "127.0.0.1:0",
        "SIDECAR_ADMIN_LISTEN": "127.0.0.1:0",
        **settings,
        **({"SIDECAR_SEAL_KEY_FILE": str(tmp_path / "seal-key")} if "redis" in needed else {}),
        "SIDECAR_BASE_URL": "http://127.0.0.1:1",
        "SIDECAR_API_KEY": "k",
        "SIDECAR_API_SECRET": "s",
        "SIDECAR_DRAIN_S": "0",
    }
    source = (
        "import json, sys\n"
        "import sidecar.app.run as serving\n"
        "async def at_once(*_): pass\n"
        "serving.wait_for_signal = at_once\n"
        "from sidecar.cli.main import run\n"
        "run(['serve'], json.loads(sys.argv[1]))\n"
        "late = ('aiohttp.web', 'cryptography', 'difflib', 'opentelemetry', 'redis', 'sidecar.app.demo',\n"
        "        'sidecar.app.gateways', 'sidecar.gateway', 'sidecar.sandbox',\n"
        "        'sidecar.telemetry.gateway', 'sidecar.web.admin.status_page', 'sqlite3')\n"
        "print(json.dumps([name for name in late if name in sys.modules]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", source, json.dumps(environ)], capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(done.stdout.splitlines()[-1]) == needed


@pytest.mark.parametrize("proxies", [{}, PROXIES])
def test_a_sandbox_a_check_a_sidecar_and_its_token(proxies: dict[str, str]) -> None:
    """Sandbox, check, sidecar and token, each a process, on loopback whatever proxy the environment names."""
    with process("sandbox", "--listen", "127.0.0.1:0") as sandbox:
        partner = wait_for(r"(http://\S+);", sandbox.stdout)
        admin_url = f"127.0.0.1:{free_port()}"
        environ = {
            "SIDECAR_BASE_URL": partner,
            **proxies,
            "SIDECAR_API_KEY": "demo-api-key",
            "SIDECAR_API_SECRET": "demo-api-secret",
            "SIDECAR_LISTEN": f"127.0.0.1:{free_port()}",
            "SIDECAR_ADMIN_LISTEN": admin_url,
            "SIDECAR_DRAIN_S": "0",
        }
        with process("check", "--live", environ=environ) as check:
            out, err = check.communicate(timeout=START_LIMIT_S)
            assert (check.returncode, err) == (0, ""), out
        with process("serve", environ=environ) as serve:
            wait_for(r"(token_changed)", serve.stdout)
            with process("token", environ=environ) as token:
                out, _ = token.communicate(timeout=START_LIMIT_S)
                assert token.returncode == 0
                assert len(out.strip()) > 20
            with process("status", environ=environ) as status:
                text, _ = status.communicate(timeout=START_LIMIT_S)
                assert (status.returncode, out.strip() in text) == (0, False), text
            serve.send_signal(signal.SIGTERM)
            _, err = serve.communicate(timeout=START_LIMIT_S)
            assert (serve.returncode, err) == (0, "")
        sandbox.send_signal(signal.SIGTERM)
        assert sandbox.wait(START_LIMIT_S) == 0


@pytest.mark.parametrize("proxies", [{}, PROXIES])
def test_the_demo_prints_a_curl_line_and_ends_with_0_on_ctrl_c(proxies: dict[str, str]) -> None:
    with process("demo", "--port", "0", "--admin-port", "0", "--gateway-port", "0", environ=proxies) as demo:
        url = wait_for(r"curl -H 'Sidecar-Request: true' (http://\S+)/v1/token", demo.stdout)
        with process("token", "--url", url) as token:
            out, _ = token.communicate(timeout=START_LIMIT_S)
            assert token.returncode == 0
            assert out.strip()
        assert [post(*spoken(demo)) for _ in ("a fault", "a reset")] == [204, 204]
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=START_LIMIT_S)
        assert demo.returncode == 0


def test_the_demos_curl_line_creates_a_payment_once() -> None:
    with process("demo", "--port", "0", "--admin-port", "0", "--gateway-port", "0") as demo:
        *given, url = shlex.split(wait_for("(curl .*/payments/create)$", demo.stdout))
        headers = [value.split(": ") for option, value in itertools.pairwise(given) if option == "-H"]
        request = urllib.request.Request(url, given[given.index("-d") + 1].encode(), dict(headers))
        with urllib.request.urlopen(request, timeout=START_LIMIT_S) as created:
            assert (created.status, json.load(created)["status"]) == (201, "NEW")
        with pytest.raises(urllib.error.HTTPError) as repeated:
            urllib.request.urlopen(request, timeout=START_LIMIT_S)
        assert (repeated.value.status, "DUPLICATE-REFERENCE" in repeated.value.read().decode()) == (400, True)


@pytest.mark.parametrize("command", ["serve", "check"])
def test_a_proxy_without_a_scheme_is_told_by_its_variable_and_without_its_value(command: str) -> None:
    credentials = {"SIDECAR_API_KEY": "k", "SIDECAR_API_SECRET": "s"}
    with process(command, environ={"HTTPS_PROXY": f"{CANARY}:3128", **credentials}) as wrong:
        out, err = wrong.communicate(timeout=START_LIMIT_S)
    assert (wrong.returncode, "HTTPS_PROXY must be http:// and a host" in err, CANARY in out + err) == (2, True, False)


def test_a_wrong_configuration_is_told_without_a_traceback() -> None:
    with process("serve", environ={"SIDECAR_LISTN": "x", "SIDECAR_API_KEY": CANARY}) as serve:
        out, err = serve.communicate(timeout=START_LIMIT_S)
    assert (serve.returncode, out, len(err.splitlines())) == (2, "", 2)
    assert "Traceback" not in err
    assert CANARY not in err


def test_a_port_that_is_taken_is_a_line_and_2_for_the_service_and_1_for_the_sandbox() -> None:
    with process("sandbox", "--listen", "127.0.0.1:0") as first:
        taken = wait_for(r"http://(\S+);", first.stdout)
        with process("sandbox", "--listen", taken) as second:
            _, err = second.communicate(timeout=START_LIMIT_S)
            assert (second.returncode, err.count("\n")) == (1, 1)
            assert f"cannot listen on {taken}" in err
        environ = {"SIDECAR_API_KEY": "k", "SIDECAR_API_SECRET": "s", "SIDECAR_LISTEN": taken}
        environ["SIDECAR_ADMIN_LISTEN"] = "127.0.0.1:0"
        with process("serve", environ=environ) as serve:
            _, err = serve.communicate(timeout=START_LIMIT_S)
            assert (serve.returncode, err.count("\n")) == (2, 1), err


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    with process("demo", "--port", "0", "--admin-port", "0", "--gateway-port", "0") as demo:
        assert demo.stdout is not None
        demo.stdout.close()
        assert demo.stderr is not None
        assert "Traceback" not in demo.stderr.read()
        assert demo.wait(START_LIMIT_S) == 74
