"""A real sidecar with a file on a file system that hangs: it vends, reports the file and stops, but does not start."""

from __future__ import annotations

import asyncio
import base64
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.servers import free_port, has_tls, server_binary
from tests.support.hanging_folder import HangingFolder, hanging_folder
from tests.support.processes import KEY, SECRET, Fleet
from tests.support.replica import Replica, until

CALLER_TOKEN = "a-caller-token-of-some-length"
PASSWORD = "a-store-password"
CONTENTS = {
    "api-key": KEY,
    "api-secret": SECRET,
    "caller-token": CALLER_TOKEN,
    "seal-key": base64.b64encode(bytes(32)).decode(),
    "store-password": PASSWORD,
}
FILES = {
    "credentials": "",
    "caller-tokens": "caller-token",
    "seal-keys": "seal-key",
    "store-password": "store-password",
    "store-certificates": "ca.pem",
    "partner-certificates": "partner-ca.pem",
}
"""The name of each file in the folder, by its `file` label."""
CONFIGURED = ("store-password", "store-certificates", "partner-certificates")
"""Files that are read with the settings, also by `check`."""
ONE_OF_EACH_KIND = ("credentials", "store-password")
"""One file of each kind, for what does not depend on the file; the slow tests try all."""
HEADERS = {"Sidecar-Request": "true", "Authorization": f"Bearer {CALLER_TOKEN}"}

each_file = pytest.mark.parametrize("file", FILES)


@pytest.fixture
def held(tmp_path: Path) -> Iterator[HangingFolder]:
    with hanging_folder(tmp_path / "held") as folder:
        for name, content in CONTENTS.items():
            (folder.real / name).write_text(content)
        yield folder


def settings(held: HangingFolder, file: str, fleet: Fleet) -> dict[str, str]:
    """Return the settings that name the file."""
    path, port = held.path / FILES[file], fleet.redis.port
    match file:
        case "credentials":
            return {"CREDENTIALS_DIR": str(path)}
        case "caller-tokens":
            return {"CALLER_TOKEN_FILE": str(path)}
        case "seal-keys":
            return {"SEAL_KEY_FILE": str(path)}
        case "store-password":
            fleet.redis.command("CONFIG", "SET", "requirepass", PASSWORD)
            return {"STORE": f"redis://127.0.0.1:{port}?password_file={path}"}
        case "partner-certificates":
            (held.real / "partner-ca.pem").write_bytes(Authority(fleet.folder / "ca").certificate.read_bytes())
            fleet.settings["SSL_CERT_FILE"] = str(path)
            return {}
        case _:
            return {"STORE": f"rediss://127.0.0.1:{_speak_tls(held, fleet)}?ssl_ca_certs={path}"}


def _speak_tls(held: HangingFolder, fleet: Fleet) -> int:
    """Have the store listen for TLS too, and return that port."""
    if not has_tls(server_binary()):
        pytest.skip("this server is built without TLS")
    authority, port = Authority(fleet.folder / "ca"), free_port()
    pair = authority.issue("server")
    (held.real / "ca.pem").write_bytes(authority.certificate.read_bytes())
    options = {"cert-file": pair.certificate, "key-file": pair.key, "ca-cert-file": authority.certificate}
    words = [word for name, path in options.items() for word in (f"tls-{name}", str(path))]
    fleet.redis.command("CONFIG", "SET", *words, "tls-auth-clients", "no", "tls-port", port)
    return port


async def hang(held: HangingFolder, fleet: Fleet, replica: Replica) -> None:
    """Hang until the replica reports it.

    It reads files of the store when it connects, and those of the partner at a call.
    """
    token_id = (await replica.ask(headers=HEADERS)).token_id
    held.hang()
    await replica.post("/v1/token/rejected", headers=HEADERS, json={"tokenId": token_id})

    async def has_reported() -> bool:
        await asyncio.to_thread(fleet.redis.command, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        return bool(replica.events("file_stalled"))

    await until(has_reported)


async def stalled(replica: Replica, file: str) -> float:
    return await replica.metric("file_stalled", file=file)


@each_file
async def test_a_sidecar_vends_and_reports_it_while_a_file_hangs(file: str, fleet: Fleet, held: HangingFolder) -> None:
    (replica,) = await fleet.ready(1, **settings(held, file, fleet))
    await hang(held, fleet, replica)
    assert await stalled(replica, file) == 1
    assert (await replica.status())["stalledFiles"] == [file]
    assert (
        f"the file system does not respond for the {file.replace('-', ' ')}"
        in (await replica.admin("/status")).text.lower()
    )
    assert (await replica.ask(headers=HEADERS)).token_id
    assert [(await replica.admin(path)).status for path in ("/livez", "/readyz")] == [200, 200]
    (event,) = replica.events("file_stalled")
    assert (event["level"], event["file"]) == ("error", file)
    held.answer()
    await until(lambda: bool(replica.events("file_stall_ended")))
    assert await stalled(replica, file) == 0
    assert (await replica.status())["stalledFiles"] == []


@pytest.mark.parametrize(
    "file", [pytest.param(file, marks=[] if file in ONE_OF_EACH_KIND else pytest.mark.slow) for file in FILES]
)
async def test_a_sidecar_stops_while_a_file_hangs(file: str, fleet: Fleet, held: HangingFolder) -> None:
    """Also after a signal to read its files again."""
    (replica,) = await fleet.ready(1, **settings(held, file, fleet))
    await hang(held, fleet, replica)
    replica.signal(signal.SIGHUP)
    await fleet.stop(replica)
    assert held.is_waited_for


@pytest.mark.parametrize(
    ("file", "command"),
    [
        pytest.param(file, command, marks=[] if command == "serve" or file in ONE_OF_EACH_KIND else pytest.mark.slow)
        for file in FILES
        for command in ("serve", "check")
    ],
)
async def test_a_file_that_hangs_at_the_start_is_an_error_that_names_it(
    file: str, command: str, fleet: Fleet, held: HangingFolder
) -> None:
    named = settings(held, file, fleet)
    held.hang()
    replica = fleet.launch(("-m", "sidecar", command), **named)
    assert await replica.ended() == (2 if command == "serve" or file in CONFIGURED else 1)
    place = str(held.path / FILES[file])
    assert f"{place}: not read within 5 s, the file system hangs" in replica.output
    assert "Traceback" not in replica.output


async def test_settings_that_hang_are_an_error_too(fleet: Fleet, held: HangingFolder) -> None:
    (held.real / "sidecar.toml").write_text("drain_s = 0")
    held.hang()
    replica = fleet.launch(CONFIG=str(held.path / "sidecar.toml"))
    assert await replica.ended() == 2
    assert f"SIDECAR_CONFIG: {held.path}/sidecar.toml: not read within 5 s, the file system hangs" in replica.output
