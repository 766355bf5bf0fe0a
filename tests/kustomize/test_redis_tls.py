"""The example of Redis with TLS, as written: a real server accepts its arguments, and the sidecar reaches it."""

from __future__ import annotations

import base64
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sidecar.app.check import CheckLine, check
from sidecar.app.running import load_settings
from tests.certificates import Authority
from tests.kustomize.mounting import Mounted
from tests.kustomize.rendering import EXAMPLES, SECRETS, pod_of, render, sidecar_of
from tests.servers import free_port, server_binary
from tests.support.programs import server_with_tls
from tests.support.sandbox_bench import CONFIG, CREDENTIALS, Bench, open_bench

PASSWORD = "correct-horse:battery@staple"
START_LIMIT_S = 60
LOOK_S = 0.01

pytestmark = server_with_tls()


@dataclass
class Place:
    """A folder with a CA, and the Secrets of the example with the values for a server on this machine."""

    folder: Path
    port: int = field(default_factory=free_port)
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ca = Authority(self.folder / "ca")
        server = ca.issue("server")
        values = {
            "ca.crt": ca.certificate.read_text(),
            "tls.crt": server.certificate.read_text(),
            "tls.key": server.key.read_text(),
            "api-key": CREDENTIALS.api_key.reveal(),
            "api-secret": CREDENTIALS.api_secret.reveal(),
        }
        for name, files in SECRETS.items():
            self.secrets[name] = {file: values.get(file, self.filled(text)) for file, text in files.items()}

    def filled(self, text: str) -> str:
        key = base64.b64encode(bytes(32)).decode()
        text = text.replace("REPLACE-WITH-THE-PASSWORD", PASSWORD).replace("token-redis:6379", f"127.0.0.1:{self.port}")
        return text.replace("REPLACE-WITH-BASE64-OF-32-RANDOM-BYTES", key)

    def answers(self) -> bool:
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Run the container of the example there, as written except for its port and address."""
    made = Place(tmp_path_factory.mktemp("redis-tls"))
    (deployment,) = (manifest for manifest in render(EXAMPLES["redis-tls"]) if manifest["kind"] == "Deployment")
    (container,) = pod_of(deployment)["containers"]
    mounted = Mounted(deployment, container, made.folder, made.secrets)
    arguments = [mounted.moved(text) for text in container["args"]]
    arguments[arguments.index("6379")] = str(made.port)
    log = made.folder / "log"
    with (
        log.open("w") as stream,
        subprocess.Popen(
            [server_binary(), *arguments, "--bind", "127.0.0.1"], cwd=made.folder, stdout=stream
        ) as process,
    ):
        try:
            give_up_at = time.monotonic() + START_LIMIT_S
            while not made.answers():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < give_up_at, log.read_text()
                time.sleep(LOOK_S)
            yield made
        finally:
            process.kill()


async def judged(place: Place, root: Path, partner: Bench, **files: str) -> list[CheckLine]:
    """Run `token-sidecar check --live` in the pod of the example app, with `files` in the store's Secret."""
    (deployment,) = render(EXAMPLES["deployment"])
    secrets = {**place.secrets, "token-sidecar-store": {**place.secrets["token-sidecar-store"], **files}}
    environment = Mounted(deployment, sidecar_of(deployment), root, secrets).environment
    return await check(load_settings({**environment, "SIDECAR_BASE_URL": partner.url}), live=True)


@asynccontextmanager
async def partner() -> AsyncIterator[Bench]:
    async with open_bench(CONFIG) as bench:
        yield bench


async def test_the_sidecar_gets_a_token_through_it(place: Place, tmp_path: Path) -> None:
    async with partner() as bench:
        lines = await judged(place, tmp_path, bench)
    assert [line for line in lines if not line.ok] == []
    assert [line.what for line in lines][-1] == "token of profile default"


async def test_no_client_is_accepted_without_the_password(place: Place, tmp_path: Path) -> None:
    async with partner() as bench:
        lines = await judged(place, tmp_path, bench, password="another")
    assert "user or password is wrong" in lines[-1].detail


async def test_a_server_of_another_ca_is_refused(place: Place, tmp_path: Path) -> None:
    strange = Authority(tmp_path / "strange").certificate.read_text()
    async with partner() as bench:
        lines = await judged(place, tmp_path, bench, **{"ca.crt": strange})
    assert "its certificate is not trusted" in lines[-1].detail
