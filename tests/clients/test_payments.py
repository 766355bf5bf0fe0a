"""The examples that create a payment: by `/v1/sign` and by the gateway, against a sandbox that verifies signatures."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.proxies import nginx_gateway
from tests.clients.redirector import Redirector
from tests.clients.scripted import Scripted, ScriptedServer
from tests.clients.site import CALLER_TOKEN, EXAMPLES, WITH_A_KEY, Partner, Site, site_with
from tests.servers import free_port
from tests.support.programs import needs
from tests.support.threaded import in_a_thread

ORDER = "order-4711"
VALID = "valid"
UNKNOWN = "do not pay under another reference"
PROGRAMS = {"sh": "curl", "mjs": "node", "py": sys.executable, "go": "go"}
EACH = [
    pytest.param((way, language), id=f"{way}-{language}", marks=needs(program))
    for way in ("sign", "gateway")
    for language, program in PROGRAMS.items()
]
SIGN_ONLY = [param for param in EACH if str(param.id).startswith("sign")]
GATEWAY_ONLY = [param for param in EACH if str(param.id).startswith("gateway")]

Command = tuple[str | Path, ...]


@pytest.fixture(scope="session")
def go_programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("go")
    environ = {"GOCACHE": str(folder / "cache"), "GO111MODULE": "off", "CGO_ENABLED": "0", "GOPATH": str(folder)}
    for name in ("pay_sign", "pay_gateway"):
        subprocess.run(
            ["go", "build", "-o", folder / name, EXAMPLES / f"{name}.go"],
            env={"PATH": os.environ.get("PATH", os.defpath), **environ},
            check=True,
        )
    return folder


@pytest.fixture(params=EACH)
def command(request: pytest.FixtureRequest) -> Command:
    way, language = request.param
    if language == "go":
        return (request.getfixturevalue("go_programs") / f"pay_{way}",)
    program = {"sh": "sh", "mjs": "node", "py": sys.executable}[language]
    return (program, EXAMPLES / f"pay_{way}.{language}")


@pytest.fixture
def site(paying_site: Site) -> Site:
    return paying_site


def test_a_payment_is_signed_and_created_once(command: Command, site: Site) -> None:
    done = site.run(*command, ORDER)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["reference"].startswith("C-")
    assert site.partner.payments(ORDER) == [(201, VALID)]


def test_after_a_rejected_token_it_is_created_with_the_next(command: Command, site: Site) -> None:
    assert site.run(*command, "order-1").returncode == 0
    site.partner.revoke()
    done = site.run(*command, ORDER)
    assert (done.returncode, json.loads(done.stdout)["status"]) == (0, "NEW")
    assert site.partner.payments(ORDER) == [(401, VALID), (201, VALID)]
    assert site.partner.token_calls() == 2


def test_when_the_answer_is_lost_the_same_reference_is_sent_and_no_second_payment_is_made(
    command: Command, site: Site
) -> None:
    site.partner.fails("lost-reply")
    done = site.run(*command, ORDER)
    assert (done.returncode, done.stdout) == (3, "")
    assert f"{ORDER} may exist" in done.stderr
    assert UNKNOWN in done.stderr
    assert site.partner.payments(ORDER) == [(0, VALID), (400, VALID)]


@pytest.mark.parametrize("fault", ["reset", "status"])
def test_when_it_was_not_created_after_all_the_same_reference_creates_it(
    command: Command, fault: str, site: Site
) -> None:
    site.partner.fails(fault, **({"status": 503} if fault == "status" else {}))
    done = site.run(*command, ORDER)
    assert (done.returncode, json.loads(done.stdout)["status"]) == (0, "NEW")
    assert [status for status, _ in site.partner.payments(ORDER)] == [503 if fault == "status" else 0, 201]


def test_a_refused_payment_is_sent_once(command: Command, site: Site) -> None:
    assert site.run(*command, ORDER).returncode == 0
    done = site.run(*command, ORDER)
    assert (done.returncode, done.stdout) == (1, "")
    assert "SANDBOX-DUPLICATE-REFERENCE" in done.stderr
    assert UNKNOWN not in done.stderr
    assert site.partner.payments(ORDER) == [(201, VALID), (400, VALID)]


def test_it_sends_the_caller_token_to_the_sidecar(command: Command, partner: Partner, folder: Path) -> None:
    (folder / "caller-token").write_text(CALLER_TOKEN)
    with site_with(partner, folder, **WITH_A_KEY, SIDECAR_CALLER_TOKEN_FILE=str(folder / "caller-token")) as site:
        done = site.run(*command, ORDER)
        assert (done.returncode, "caller-not-allowed" in done.stderr) == (1, True)
        assert site.run(*command, ORDER, TOKEN_SIDECAR_CALLER=CALLER_TOKEN).returncode == 0
    assert partner.payments(ORDER) == [(201, VALID)]


def test_without_a_token_it_waits_as_long_as_the_sidecar_says(command: Command) -> None:
    """503 comes from the sidecar: nothing was sent, so the wait costs nothing and the outcome is known."""
    signed = b'{"headers": {"AccessToken": "Bearer t"}, "tokenId": "i"}'
    lines = b"AccessToken: Bearer t\n"
    wants_lines = "sh" in map(str, command)
    down = Scripted(503, {"Retry-After": "2", "Sidecar-Answer": "sidecar"}, b'{"code": "partner-cooling-down"}')
    good = Scripted(200, {"Sidecar-Answer": "partner"}, lines if wants_lines else signed)
    with in_a_thread(ScriptedServer(down, good)) as sidecar, in_a_thread(ScriptedServer(good)) as partner:
        environ = {
            "TOKEN_SIDECAR": sidecar.url,
            "TOKEN_SIDECAR_GATEWAY": sidecar.url,
            "PARTNER": partner.url,
            "PATH": os.environ.get("PATH", os.defpath),
        }
        done = subprocess.run([*command, ORDER], env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "partner-cooling-down" in done.stderr) == (0, True)
    first, second = sidecar.arrived
    assert second.at - first.answered_at >= 2
    assert first.body == second.body
    assert json.loads(first.body)["partnerReference"] == ORDER
    assert all(each.body == first.body for each in partner.arrived)


def test_without_a_sidecar_the_payment_is_not_created(command: Command) -> None:
    closed = f"http://127.0.0.1:{free_port()}"
    environ = dict.fromkeys(("TOKEN_SIDECAR", "TOKEN_SIDECAR_GATEWAY", "PARTNER"), closed)
    path = {"PATH": os.environ.get("PATH", os.defpath)}
    done = subprocess.run(
        [*command, ORDER], env=environ | path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, "Traceback" in done.stderr, UNKNOWN in done.stderr) == (1, "", False, False)


@pytest.mark.parametrize("command", GATEWAY_ONLY, indirect=True)
def test_while_no_answer_comes_it_keeps_the_reference_and_gives_up_in_the_end(command: Command, site: Site) -> None:
    site.partner.fails("reset", count=0)
    done = site.run(*command, ORDER)
    assert (done.returncode, done.stdout) == (3, "")
    *answers, last = done.stderr.splitlines()
    assert [answer[:4] for answer in answers] == ["504 "] * 4
    assert all("partner-outcome-unknown" in answer for answer in answers)
    assert UNKNOWN in last
    assert site.partner.payments(ORDER) == [(0, VALID)] * 4


@pytest.mark.parametrize("command", SIGN_ONLY, indirect=True)
@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_gets_neither_token_nor_signature(command: Command, status: int, site: Site) -> None:
    with in_a_thread(Redirector()) as partner, in_a_thread(Redirector()) as other:
        partner.locations["/api/pay1st/payments/create"] = status, f"{other.url}/here"
        done = site.run(*command, ORDER, PARTNER=partner.url)
        assert (partner.tokens, other.seen) == ([True], [])
    assert (done.returncode, done.stderr[:3]) == (1, str(status))


@needs("curl")
@pytest.mark.parametrize("way", ["sign", "gateway"])
def test_no_secret_is_an_argument_of_a_process(way: str, site: Site, partner: Partner, folder: Path) -> None:
    """Every user of the machine can read arguments. A script in front of the real curl records them."""
    shim = folder / "curl"
    shim.write_text(f'#!/bin/sh\necho "$*" >>"{folder}/arguments"\nexec "{shutil.which("curl")}" "$@"\n')
    shim.chmod(0o755)
    assert site.run("sh", EXAMPLES / f"pay_{way}.sh", "order-1").returncode == 0
    partner.revoke()
    environ = {"PATH": f"{folder}:{os.environ['PATH']}", "TOKEN_SIDECAR_CALLER": CALLER_TOKEN}
    assert site.run("sh", EXAMPLES / f"pay_{way}.sh", ORDER, **environ).returncode == 0
    arguments = (folder / "arguments").read_text()
    assert arguments.count("/payments/create") == 2
    assert "Bearer" not in arguments
    assert CALLER_TOKEN not in arguments


@needs("nginx")
@pytest.mark.parametrize("command", [GATEWAY_ONLY[2]], indirect=True)
def test_nginx_passes_payments_to_the_gateway(command: Command, site: Site, folder: Path) -> None:
    with nginx_gateway(site.gateway.removeprefix("http://"), folder) as port:
        done = site.run(*command, ORDER, TOKEN_SIDECAR_GATEWAY=f"http://127.0.0.1:{port}")
        assert (done.returncode, json.loads(done.stdout)["status"]) == (0, "NEW")
        site.partner.fails("lost-reply")
        lost = site.run(*command, "order-2", TOKEN_SIDECAR_GATEWAY=f"http://127.0.0.1:{port}")
        assert lost.returncode == 3
    assert site.partner.payments(ORDER) == [(201, VALID)]
    assert site.partner.payments("order-2") == [(0, VALID), (400, VALID)]


@needs("nginx")
@pytest.mark.parametrize(
    "headers", [{"Sidecar-Request": ""}, {"Host": "evil.example"}, {"Origin": "http://evil.example"}]
)
def test_the_gateways_guards_hold_behind_nginx(headers: dict[str, str], site: Site, folder: Path) -> None:
    with nginx_gateway(site.gateway.removeprefix("http://"), folder) as port:
        sent = {"Sidecar-Request": "true", "Host": f"localhost:{port}", **headers}
        words = [word for name, value in sent.items() for word in ("-H", f"{name}: {value}")]
        url = f"http://127.0.0.1:{port}/api/pay1st/payments/methods"
        done = site.run("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", *words, url)
    assert done.stdout == "403"
    assert site.partner.probes() == {}
