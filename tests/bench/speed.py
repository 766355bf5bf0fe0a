"""The speed part: configurations of the sidecar and the other servers, under the loads of `scenarios.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.bench.configurations import CONFIGURATIONS, configured, sealed_store
from tests.bench.findings import Finding
from tests.bench.load import build_generator
from tests.bench.measure import Results, check, counted, measure, running, until_it_answers
from tests.bench.partner import partner
from tests.bench.peers import Peer, peers
from tests.bench.scenarios import TITLES, Scenario

DROPPED = 'token_sidecar_log_lines_dropped_total{stream="audit"}'


def measure_speed(
    folder: Path,
    first_port: int,
    scenarios: Sequence[Scenario],
    *,
    rounds: int,
    seconds: int,
    all_of_them: bool,
    log: Callable[[str], None],
) -> tuple[Results, list[Finding]]:
    """Return the results, and how many audit lines were dropped.

    Without `all_of_them`, servers whose programs are not installed are left out.
    """
    wanted = {name for scenario in scenarios for name in scenario.servers}
    with ExitStack() as stack:
        pay1st = stack.enter_context(partner())
        redis_url = stack.enter_context(sealed_store(folder)).url if "redis" in wanted else ""
        names = [name for name in CONFIGURATIONS if name in wanted]
        ours = [
            configured(name, folder, first_port + 20 + 2 * at, pay1st.url, redis_url) for at, name in enumerate(names)
        ]
        bodies = [_start(stack, peer, folder) for peer in ours]
        others = peers(folder, first_port, bodies[0], wanted, all_of_them=all_of_them)
        for peer in others:
            _start(stack, peer, folder)
        generator = build_generator(folder)
        started = [*others, *ours]
        results = measure(started, scenarios, rounds=rounds, seconds=seconds, generator=generator, log=log)
        return results, [_dropped(peer) for peer in ours if "AUDIT" in CONFIGURATIONS[peer.name].settings]


def _start(stack: ExitStack, peer: Peer, folder: Path) -> bytes:
    """Start a server, and wait until it answers. The stack stops it."""
    peer.discards_output = True
    stack.enter_context(running([peer], folder))
    return until_it_answers(peer, check)


def _dropped(peer: Peer) -> Finding:
    dropped, answered = counted(peer, DROPPED), counted(peer, "token_sidecar_requests_total{")
    what = f"{TITLES[peer.name]}: lines that were dropped, {answered:,} requests"
    return Finding(what, f"{dropped:,}", "none", dropped == 0)
