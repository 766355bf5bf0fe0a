"""Containers that share one loopback, as those of a pod do: the simulated partner, Redis, and sidecars."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from tests.image.engine import Engine
from tests.image.images import IMAGE, ROOT

HARDENED = [
    *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    *("--memory", "64m", "--memory-swap", "64m"),
]
DEMO = ("--volume", f"{ROOT}/deploy/demo:/run/secrets:ro")
SETTINGS = {
    "SIDECAR_BASE_URL": "http://127.0.0.1:8080",
    "SIDECAR_CREDENTIALS_DIR": "/run/secrets",
    "SIDECAR_SEAL_KEY_FILE": "/run/secrets/seal-keys",
    "SIDECAR_STORE": "redis://127.0.0.1:6379/0",
}


class Pod:
    """Its network has only a loopback."""

    def __init__(self, engine: Engine, containers: ExitStack, redis: str) -> None:
        self.engine, self._containers = engine, containers
        self._loopback = ["--network", "none"]
        partner = self.start(IMAGE, "sandbox", "--listen", "127.0.0.1:8080", "--credentials-dir", "/run/secrets")
        self._loopback = ["--network", f"container:{partner}"]
        self.start(redis, "redis-server", "--save", "")

    def start(self, image: str, *command: str, options: tuple[str, ...] = ()) -> str:
        """Start one container, and return its id."""
        started = self.engine.docker("run", "--detach", *self._loopback, *HARDENED, *DEMO, *options, image, *command)
        self._containers.callback(self.engine.docker, "rm", "--force", "--volumes", started)
        return started

    def sidecar(self, image: str, environ: Mapping[str, str], *options: str) -> str:
        """Start `token-sidecar serve`. A sidecar that dies is started again, and its restart count grows."""
        settings = (f"--env={name}={value}" for name, value in {**SETTINGS, **environ}.items())
        return self.start(image, options=("--health-interval=1s", "--restart=unless-stopped", *settings, *options))

    def attack(self, seconds: int) -> str:
        """Flood the sidecar while a good caller sends requests; return the output of `tests.image.load`."""
        source = ("--volume", f"{ROOT}:/source:ro", "--workdir", "/source", "--entrypoint", "python")
        load = ("-m", "tests.image.load", str(seconds))
        return self.engine.docker("run", "--rm", *self._loopback, *source, IMAGE, *load)

    def healthy(self, container: str) -> bool:
        return bool(self.engine.inspect(container)["State"]["Health"]["Status"] == "healthy")

    def execute(self, container: str, *command: str) -> str:
        """Run a command in the container without a shell, and return its output."""
        return self.engine.docker("exec", container, *command)


@contextmanager
def open_pod(engine: Engine, redis: str) -> Iterator[Pod]:
    with ExitStack() as containers:
        yield Pod(engine, containers, redis)
