"""The waits of callers while the token is replaced every other second."""

from __future__ import annotations

import statistics
from pathlib import Path

from tests.bench.findings import Finding
from tests.bench.load import paced
from tests.bench.measure import check, running, until_it_answers
from tests.bench.partner import partner
from tests.bench.peers import sidecar

PER_S = 1000
CALL_S = 0.2
"""How long the partner takes. A caller that waited for it would show this wait."""
ROTATING = {"TOKEN_LIFETIME_S": "4", "REFRESH_AT": "0.45", "PARTNER_TIMEOUT_S": "0.5", "CALL_BUDGET": "1000/1"}
"""The token is replaced every 2 s, with the time of the call."""


def measure(folder: Path, first_port: int, *, smoke: bool) -> list[Finding]:
    """Measure turns with and without rotations. Raises `WrongAnswerError` when a request got no token."""
    rounds, seconds = (1, 3) if smoke else (3, 20)
    with partner(CALL_S) as pay1st:
        quiet = sidecar("quiet", first_port, pay1st.url)
        rotating = sidecar("rotating", first_port + 2, pay1st.url, **ROTATING)
        with running([quiet, rotating], folder):
            until_it_answers(quiet, check)
            until_it_answers(rotating, check)
            calls = pay1st.calls
            turns = [
                (paced(quiet, per_s=PER_S, seconds=seconds), paced(rotating, per_s=PER_S, seconds=seconds))
                for _ in range(rounds)
            ]
            calls = pay1st.calls - calls
    ratio = statistics.median(busy.p99_s / calm.p99_s for calm, busy in turns)
    calm_s, busy_s = (statistics.median(turn[at].p99_s for turn in turns) for at in (0, 1))
    slowest_s = max(busy.slowest_s for _, busy in turns)
    return [
        Finding(
            f"{PER_S:,} requests/s for {rounds * seconds} s each, {calls} new tokens: refused",
            "none, or the run would have ended",
        ),
        Finding(
            "p99 with rotations beside the quiet one",
            f"{busy_s * 1e6:.0f} µs and {calm_s * 1e6:.0f} µs, {ratio:.2f} of it", "less than 2", ratio < 2,
        ),
        Finding(
            f"the slowest request, with a partner that takes {CALL_S * 1e3:.0f} ms",
            f"{slowest_s * 1e3:.1f} ms", "did not wait for it", slowest_s < CALL_S,
        ),
    ]  # fmt: skip
