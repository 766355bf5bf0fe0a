"""Variables that only libraries read never end the process; those that are ignored are named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sidecar.config.environment import IGNORED, take_environment
from tests.support.commands import START_LIMIT_S, process, wait_for

SERVE = {
    "SIDECAR_API_KEY": "k",
    "SIDECAR_API_SECRET": "s",
    "SIDECAR_BASE_URL": "http://127.0.0.1:9",
    "SIDECAR_LISTEN": "127.0.0.1:0",
    "SIDECAR_ADMIN_LISTEN": "127.0.0.1:0",
    "SIDECAR_DRAIN_S": "0",
}
NONSENSE = {
    "TLS": {"SSL_CERT_FILE": "/nowhere", "SSL_CERT_DIR": "/nowhere", "OPENSSL_CONF": "/nowhere"},
    "certificates of another kind": {"SSL_CERT_FILE": "/etc/passwd", "REQUESTS_CA_BUNDLE": "/nowhere"},
    "locale and zone": {"LC_ALL": "nonsense", "LANG": "xx_YY.bogus", "TZ": "nonsense/zone"},
    "without C": {f"{name}_NO_EXTENSIONS": "1" for name in ("AIOHTTP", "MULTIDICT", "YARL", "FROZENLIST", "PROPCACHE")},
    "Python": {
        "PYTHONHASHSEED": "7", "PYTHONWARNINGS": "error", "PYTHONOPTIMIZE": "2", "PYTHONIOENCODING": "ascii",
        "PYTHONUTF8": "0", "PYTHONINTMAXSTRDIGITS": "640", "PYTHONBREAKPOINT": "nonsense", "PYTHONASYNCIODEBUG": "1",
    },
    "event loop": {"UVLOOP_DEBUG": "x", "UV_THREADPOOL_SIZE": "nonsense", "UV_USE_IO_URING": "x"},
    "colours": {"NO_COLOR": "1", "FORCE_COLOR": "1", "TERM": "x", "COLUMNS": "x"},
    "places": {"HOME": "/nowhere", "TMPDIR": "/nowhere", "NETRC": "/nowhere", "RES_OPTIONS": "nonsense"},
}  # fmt: skip


@pytest.mark.parametrize("log_format", ["json", pytest.param("console", marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", NONSENSE)
def test_a_service_starts_whatever_a_library_is_told(kind: str, log_format: str) -> None:
    environ = SERVE | NONSENSE[kind] | {"SIDECAR_LOG_FORMAT": log_format}
    with process("serve", environ=environ) as serve:
        wait_for("(service_started)", serve.stdout)
        serve.terminate()
        _, err = serve.communicate(timeout=START_LIMIT_S)
    assert (serve.returncode, err) == (0, "")


@pytest.mark.parametrize("name", IGNORED)
@pytest.mark.parametrize("there", [False, True])
def test_a_variable_that_is_passed_over_is_named_and_leaves_no_file(name: str, there: bool, tmp_path: Path) -> None:
    path = (tmp_path if there else tmp_path / "missing") / "keys"
    if there and name != "SSLKEYLOGFILE":
        path.mkdir()
    before = sorted(tmp_path.rglob("*"))
    with process("serve", environ=SERVE | {name: str(path)}) as serve:
        warning = json.loads(wait_for("(.*configuration_warning.*)", serve.stdout))["warning"]
        wait_for("(service_started)", serve.stdout)
        serve.terminate()
        _, err = serve.communicate(timeout=START_LIMIT_S)
    assert (serve.returncode, err) == (0, "")
    assert warning.startswith(f"{name} is ignored: ")
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_passed_over_is_seen_by_no_library() -> None:
    environ = dict.fromkeys(IGNORED, "/nowhere") | {"PATH": "/bin"}
    assert take_environment(environ).keys() == {*IGNORED, "PATH"}
    assert environ == {"PATH": "/bin"}
