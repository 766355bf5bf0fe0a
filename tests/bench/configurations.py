"""The configurations of the sidecar that are measured, as data. Each is a `sidecar serve` process of its own."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.partner import KEY, SECRET
from tests.bench.peers import Peer, sidecar
from tests.servers import RedisServer

SIGNING_KEY = "bench-signing-key"
CALLER_TOKEN = "bench-caller-token-0123456789abcdef"


@dataclass(frozen=True)
class Configuration:
    """`settings` lack the prefix; `{folder}`, `{redis}` and `{uid}` in them are replaced by those of the run.

    `headers` are what each caller sends besides the required one.
    """

    title: str
    settings: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


CONFIGURATIONS = {
    "default": Configuration("sidecar"),
    "redis": Configuration(
        "sidecar, Redis and sealed", {"STORE": "{redis}", "SEAL_KEY_FILE": "{folder}/seal-key"}
    ),
    "caller-token": Configuration(
        "sidecar, caller token", {"CALLER_TOKEN_FILE": "{folder}/caller-token"},
        headers={"Authorization": f"Bearer {CALLER_TOKEN}"},
    ),
    "user-ids": Configuration(
        "sidecar, user ids (unix socket)", {"LISTEN": "unix:{folder}/sidecar.sock", "ALLOWED_UIDS": "{uid}"}
    ),
    "audit-changes": Configuration("sidecar, audit changes", {"AUDIT": "changes"}),
    "audit-all": Configuration("sidecar, audit all", {"AUDIT": "all"}),
    "traces": Configuration("sidecar, traces and request ids"),
    "long-way": Configuration("sidecar, the long way (SIDECAR_WARM=off)", {"WARM": "off"}),
}  # fmt: skip
"""By the name that `make bench ARGS="speed NAME"` takes. `traces` differs only in its load."""


@contextmanager
def sealed_store(folder: Path) -> Iterator[RedisServer]:
    """Start a Redis server, and write the key that seals tokens in it to `folder/seal-key`."""
    (folder / "seal-key").write_bytes(base64.b64encode(os.urandom(32)))
    redis = RedisServer(folder)
    try:
        yield redis.start()
    finally:
        redis.stop()


def configured(name: str, folder: Path, port: int, partner_url: str, redis_url: str) -> Peer:
    """Return a sidecar with one of `CONFIGURATIONS`; its admin listener has the next port."""
    (folder / "caller-token").write_text(f"{CALLER_TOKEN}\n")
    chosen = CONFIGURATIONS[name]
    run = {"folder": folder, "redis": redis_url, "uid": os.getuid()}
    settings = {key: value.format_map(run) for key, value in chosen.settings.items()}
    peer = sidecar(name, port, partner_url, **settings)
    peer.headers = chosen.headers
    return peer


def with_gateway(folder: Path, port: int, partner_url: str, **settings: str) -> Peer:
    """Return a sidecar whose admin listener has the next port, and its gateway the one after that."""
    credentials = folder / "credentials"
    credentials.mkdir(exist_ok=True)
    for name, text in (("api-key", KEY), ("api-secret", SECRET), ("signing-key", SIGNING_KEY)):
        (credentials / name).write_text(text)
    given = {"GATEWAY_LISTEN": f"127.0.0.1:{port + 2}", "CREDENTIALS_DIR": str(credentials), **settings}
    return sidecar("gateway", port, partner_url, API_KEY="", API_SECRET="", **given)
