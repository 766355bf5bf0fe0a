"""The costs of one process: memory, time to the first token, CPU while idle, and the cost of a probe."""

from __future__ import annotations

import json
import re
import resource
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from tests.bench.configurations import sealed_store
from tests.bench.findings import Finding, ratio
from tests.bench.load import exactly
from tests.bench.measure import check, counted, running, until_it_answers
from tests.bench.partner import KEY, SECRET, partner
from tests.bench.peers import AS_INSTALLED, SERVER_CORE, Peer, admin_url, sidecar

FLOOR = f"{AS_INSTALLED}; import aiohttp, prometheus_client, redis.asyncio, structlog, uvloop"
"""Libraries that any such service in Python has in memory before its first own line."""
MIB = 1 << 20
PROFILES = 4
UNSET = {"BASE_URL": "", "API_KEY": "", "API_SECRET": ""}
"""Settings whose values are in files instead."""
DOCKERFILE = Path(__file__).resolve().parents[2] / "deploy/docker/Dockerfile"
REQUESTS = "token_sidecar_requests_total{"
"""All requests, with any route and result."""


def measure(folder: Path, first_port: int, *, smoke: bool) -> list[Finding]:
    with sealed_store(folder) as redis:
        sealed = {"STORE": redis.url, "SEAL_KEY_FILE": str(folder / "seal-key")}
        return [
            *_sizes(folder, first_port, sealed, rounds=1 if smoke else 5),
            *_growth(folder, first_port + 2, requests=20_000 if smoke else 1_000_000, tokens=20 if smoke else 1000),
            _idle(folder, first_port + 4, sealed, seconds=3 if smoke else 60),
            *_probes(folder, first_port + 6, runs=3 if smoke else 15),
        ]


def _sizes(folder: Path, port: int, sealed: dict[str, str], rounds: int) -> list[Finding]:
    """Measure in turns the floor, and a sidecar with its first token and one request for everything."""
    started: dict[str, list[float]] = {"floor": [], "memory://": [], "Redis, sealed": []}
    resident: dict[str, list[int]] = {name: [] for name in started}
    for _ in range(rounds):
        with partner() as pay1st:
            floor = Peer("floor", port, [sys.executable, "-c", f"{FLOOR}; print(flush=True); input()"])
            began = time.perf_counter()
            floor.start(folder / "floor.log")
            while not (folder / "floor.log").stat().st_size:
                time.sleep(0.001)
            started["floor"].append(time.perf_counter() - began)
            resident["floor"].append(floor.resident_bytes)
            floor.stop()
            for name, settings in (("memory://", {}), ("Redis, sealed", sealed)):
                peer = sidecar(name, port, pay1st.url, **settings)
                began = time.perf_counter()
                with running([peer], folder):
                    until_it_answers(peer, check)
                    started[name].append(time.perf_counter() - began)
                    urllib.request.urlopen(f"{admin_url(peer)}/metrics").read()
                    resident[name].append(peer.resident_bytes)
    floor_s, floor_bytes = statistics.median(started["floor"]), statistics.median(resident["floor"])
    found = [
        Finding("the floor: an interpreter that imports the libraries", f"{floor_bytes / MIB:.1f} MiB, {floor_s:.2f} s")
    ]
    for name, most in (("memory://", 0.95), ("Redis, sealed", 1.1)):
        size, took_s = statistics.median(resident[name]), statistics.median(started[name])
        found.append(ratio(f"resident memory, {name}", f"{size / MIB:.1f} MiB", size / floor_bytes, most))
        found.append(ratio(f"start to the first token, {name}", f"{took_s:.2f} s", took_s / floor_s, 1.25))
    return found


def _growth(folder: Path, port: int, requests: int, tokens: int) -> list[Finding]:
    """Measure the growth after exactly this many requests, and after this many tokens."""
    with partner() as pay1st:
        peer = sidecar("growing", port, pay1st.url, CALL_BUDGET="1000/1")
        with running([peer], folder):
            until_it_answers(peer, check)
            # The records of the latest events, ids and answers fill up first, which is no growth.
            exactly(peer, 10_000)
            _replace_tokens(peer, tokens)
            before_bytes, before = peer.resident_bytes, counted(peer, REQUESTS)
            exactly(peer, requests)
            answered, asked_bytes = counted(peer, REQUESTS) - before, peer.resident_bytes
            _replace_tokens(peer, tokens)
            replaced_bytes = peer.resident_bytes
    return [
        Finding(
            f"{requests:,} requests, as the metrics count them", f"{answered:,}", "all of them", answered == requests
        ),
        _grown(f"memory after {requests:,} requests", before_bytes, asked_bytes),
        _grown(f"memory after {tokens:,} more tokens", asked_bytes, replaced_bytes),
    ]


def _grown(what: str, before: int, after: int) -> Finding:
    return Finding(what, f"{(after - before) / MIB:+.1f} MiB", "less than 2 % more", after < 1.02 * before)


def _replace_tokens(peer: Peer, count: int) -> None:
    for _ in range(count):
        _replace_token(peer)


def _replace_token(peer: Peer) -> None:
    """Report the token as rejected, and wait for the next."""
    held = json.loads(check(peer))["tokenId"]
    report = urllib.request.Request(
        f"{peer.url}/rejected",
        data=json.dumps({"tokenId": held}).encode(),
        headers={"Sidecar-Request": "true", "Content-Type": "application/json"},
    )
    urllib.request.urlopen(report).read()
    while json.loads(check(peer))["tokenId"] == held:
        time.sleep(0.001)


def _idle(folder: Path, port: int, sealed: dict[str, str], seconds: float) -> Finding:
    """Measure with four profiles and no requests."""
    with partner() as pay1st:
        tables = (
            f'[profiles.p{number}]\naccount = "p{number}"\nbase_url = "{pay1st.url}"\n'
            f'api_key = "{KEY}"\napi_secret = "{SECRET}"\n'
            for number in range(PROFILES)
        )
        (folder / "profiles.toml").write_text("".join(tables))
        peer = sidecar("idle", port, pay1st.url, CONFIG=str(folder / "profiles.toml"), **UNSET, **sealed)
        with running([peer], folder):
            while pay1st.calls < PROFILES:
                time.sleep(0.01)
            # The first polls after a token come more often.
            time.sleep(3)
            spent_s, began = peer.cpu_s, time.monotonic()
            time.sleep(seconds)
            share = (peer.cpu_s - spent_s) / (time.monotonic() - began)
    what = f"CPU with {PROFILES} profiles on Redis and nobody who asks, {seconds:g} s"
    return Finding(what, f"{share:.2%} of a core", "less than 0.1 %", share < 0.001)


def _probes(folder: Path, port: int, runs: int) -> list[Finding]:
    with partner() as pay1st:
        peer = sidecar("probed", port, pay1st.url)
        with running([peer], folder):
            until_it_answers(peer, check)
            status = [str(Path(sys.executable).with_name("token-sidecar")), "status", "--url", admin_url(peer)]
            return [
                _spent("the image's HEALTHCHECK", _healthcheck(port + 1), runs),
                _spent("`token-sidecar status`", status, runs),
            ]


def _healthcheck(admin_port: int) -> list[str]:
    """Measure the health check of the image with this sidecar."""
    found = re.search(r"HEALTHCHECK .*?CMD (\[.*?\])$", DOCKERFILE.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    _, *arguments = json.loads(found[1])
    return ["env", f"SIDECAR_ADMIN_LISTEN=127.0.0.1:{admin_port}", sys.executable, *arguments]


def _spent(what: str, command: Sequence[str], runs: int) -> Finding:
    spent_s = statistics.median(_child_cpu_s(command) for _ in range(runs))
    return Finding(f"CPU of {what}", f"{spent_s * 1e3:.0f} ms", "less than 60 ms", spent_s < 0.06)


def _child_cpu_s(command: Sequence[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(["taskset", "-c", SERVER_CORE, *command], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
