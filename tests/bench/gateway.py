"""The gateway beside nginx as a reverse proxy, in front of the same partners, and its memory with large bodies.

One partner is the sandbox. The other is an nginx with a constant response, which is never the limit. Both run on the
core of the load. The nginx that is compared adds a token that it was given; it signs nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.configurations import SIGNING_KEY, with_gateway
from tests.bench.findings import Finding
from tests.bench.gateway_memory import large_bodies, slow_apps
from tests.bench.load import Load
from tests.bench.measure import Results, Turn, check, running, until_it_answers
from tests.bench.measure import measure as measure_all
from tests.bench.partner import KEY, SECRET
from tests.bench.peers import COMMAND, LOAD_CORE, SERVER_CORE, Peer, program
from tests.bench.report import NOISY
from tests.bench.scenarios import Scenario

READ_PATH, WRITE_PATH = "/api/pay1st/payments/methods", "/api/pay1st/payments/create"
SHARE, ADDED_MS = 0.25, 1
"""The goals, in front of the sandbox: of nginx's rate, and for what is added to the median duration without a proxy."""
SIGNED = f"""\
wrk.method, wrk.path, wrk.body = "POST", "{WRITE_PATH}", string.rep("x", 1024)
wrk.headers["Content-Type"] = "text/plain"
"""
NGINX = """\
{user}daemon off; pid {folder}/{name}.pid; worker_processes 1; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream partner {{ server 127.0.0.1:{partner}; keepalive 256; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    {locations}
  }}
}}
"""
LONG_PATH, LONG_BYTES = "/api/pay1st/long", 5 * 1024 * 1024
CONSTANT = """\
location /api/pay1st/auth/ { proxy_pass http://partner; }
    location = /api/pay1st/long { root .; try_files /long =404; }
    location / { default_type application/json; return 200 '{"items": []}'; }"""
PROXY = """\
location / {{
      proxy_pass http://partner; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header AccessToken "Bearer {token}";
    }}"""


def measure(folder: Path, first_port: int, *, smoke: bool) -> list[Finding]:
    rounds, seconds = (
        (1, 1) if smoke else (int(os.environ.get("BENCH_ROUNDS", "7")), int(os.environ.get("BENCH_S", "2")))
    )
    found, noisy = [large_bodies(folder, first_port)], list[str]()
    if smoke and shutil.which(program("nginx")) is None:
        return found
    (folder / "signed.lua").write_text(SIGNED)
    with _sandbox(folder, first_port + 5) as sandbox:
        constant = _nginx(folder, "constant", first_port + 6, sandbox, CONSTANT, core=LOAD_CORE)
        (folder / "long").write_bytes(b"x" * LONG_BYTES)
        with running([constant], folder):
            until_it_answers(constant, check)
            partner_url = constant.url.removesuffix(READ_PATH)
            found.append(slow_apps(folder, first_port + 30, partner_url, LONG_PATH, LONG_BYTES))
            for partner, port in ((sandbox, first_port + 10), (constant, first_port + 20)):
                results, scenarios = _beside_nginx(folder, port, partner, rounds, seconds)
                found += [finding for scenario in scenarios for finding in _findings(results, scenario)]
                noisy += [one.title for one in scenarios if results.spread(one.key, "nginx", "per_s") > NOISY]
    if noisy:
        found.append(Finding("too noisy to tell: rounds of nginx lie more than a third apart", "; ".join(noisy)))
    return found


@contextmanager
def _sandbox(folder: Path, port: int) -> Iterator[Peer]:
    options = ("--api-key", KEY, "--api-secret", SECRET, "--signing-key", SIGNING_KEY, "--rate", "1000/1")
    command = [*COMMAND, "sandbox", "--listen", f"127.0.0.1:{port}", *options]
    sandbox = Peer("sandbox", port, command, path=READ_PATH, core=LOAD_CORE)
    with running([sandbox], folder):
        yield sandbox


def _nginx(folder: Path, name: str, port: int, partner: Peer, locations: str, *, core: str = SERVER_CORE) -> Peer:
    user = "user root; " if os.getuid() == 0 else ""
    config = folder / f"{name}.conf"
    config.write_text(
        NGINX.format(user=user, folder=folder, name=name, partner=partner.port, port=port, locations=locations)
    )
    return Peer(name, port, [program("nginx"), "-c", str(config), "-p", str(folder)], path=READ_PATH, core=core)


def _beside_nginx(folder: Path, port: int, partner: Peer, rounds: int, seconds: int) -> tuple[Results, list[Scenario]]:
    """Measure the partner itself, and nginx and the gateway in front of it."""
    vending = with_gateway(folder, port, partner.url.removesuffix(READ_PATH))
    # Each call is an audit line.
    vending.discards_output = True
    with running([vending], folder):
        token = json.loads(until_it_answers(vending, check))["accessToken"]
        partner.headers = {"AccessToken": f"Bearer {token}"}
        nginx = _nginx(folder, "nginx", port + 3, partner, PROXY.format(token=token))
        gateway = Peer("gateway", port + 2, [], path=READ_PATH, process=vending.process)
        with running([nginx], folder):
            peers = [partner, nginx, gateway]
            for peer in peers:
                until_it_answers(peer, check)
            scenarios = _scenarios(folder, partner)
            return measure_all(
                peers, scenarios, rounds=rounds, seconds=seconds, generator=folder / "unused", log=print
            ), scenarios


def _scenarios(folder: Path, partner: Peer) -> list[Scenario]:
    """The sandbox accepts a reference once, and nginx signs nothing: writes go to the constant partner alone."""
    servers = (partner.name, "nginx", "gateway")
    kinds = (
        {"GET": ""} if partner.name == "sandbox" else {"GET": "", "signed POST of 1 KiB": str(folder / "signed.lua")}
    )
    return [
        Scenario(
            f"{kind}-{count}", f"{kind}, {partner.name} partner, {count} connection{'s' if count > 1 else ''}",
            Load(count, script=script), servers,
        )
        for kind, script in kinds.items()
        for count in (1, 64)
    ]  # fmt: skip


def _findings(results: Results, scenario: Scenario) -> list[Finding]:
    partner, nginx, gateway = scenario.servers
    has_goal = partner == "sandbox"
    direct, theirs, ours = (results.median(scenario.key, name, "per_s") for name in scenario.servers)
    spent_us = {
        name: statistics.median(turn.busy / turn.rate.per_s for turn in results.of(scenario.key, name)) * 1e6
        for name in (nginx, gateway)
    }
    # Of each round, in which all were measured one after the other: other programs use the machine too.
    share = _ratio(results, scenario, lambda turn: turn.rate.per_s)
    rate = f"{ours:,.0f}/s and {theirs:,.0f}/s, {share:.2f} of it; without a proxy {direct:,.0f}/s"
    times = _ratio(results, scenario, lambda turn: turn.busy / turn.rate.per_s)
    cpu = f"{spent_us[gateway]:.0f} µs and {spent_us[nginx]:.0f} µs, {times:.1f} of it"
    found = [
        Finding(
            f"{scenario.title}: rate beside nginx", rate, f"at least {SHARE:g}" if has_goal else "",
            share >= SHARE,
        ),
        Finding(f"{scenario.title}: CPU time of a request beside nginx", cpu),
    ]  # fmt: skip
    if scenario.load.connections == 1:
        p50_ms = {name: [turn.rate.p50_s * 1e3 for turn in results.of(scenario.key, name)] for name in scenario.servers}
        # Whatever else runs on the machine adds to it, so the quietest rounds say most.
        added_ms, added_by_nginx_ms = (min(p50_ms[name]) - min(p50_ms[partner]) for name in (gateway, nginx))
        medians = [statistics.median(p50_ms[name]) for name in (gateway, nginx, partner)]
        added = (
            f"{added_ms:.2f} ms, by nginx {added_by_nginx_ms:.2f} ms, by the quietest rounds; "
            f"{medians[0] - medians[2]:.2f} and {medians[1] - medians[2]:.2f} ms by the medians"
        )
        goal = f"at most {ADDED_MS:g} ms"
        found.append(Finding(f"{scenario.title}: added to p50", added, goal, added_ms <= ADDED_MS))
    return found


def _ratio(results: Results, scenario: Scenario, figure: Callable[[Turn], float]) -> float:
    """Return the median of the rounds' ratios of the gateway to nginx."""
    _, nginx, gateway = (results.of(scenario.key, name) for name in scenario.servers)
    return statistics.median(figure(ours) / figure(theirs) for ours, theirs in zip(gateway, nginx, strict=True))
