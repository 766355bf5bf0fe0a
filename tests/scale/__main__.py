"""`make scale`: the figures of docs/scaling.md, as the tables of that page. All of it takes about a quarter of an hour.

python -m tests.scale real 1 10 100         this many processes at a time, with a Redis
python -m tests.scale simulated 1000 10000  one rotation on virtual time
python -m tests.scale capacity              one server, one kind of operation at a time
"""

from __future__ import annotations

import argparse
import asyncio

from tests.scale import capacity, real, simulated

ROTATIONS = 3
SLOW_CALL_S = 2
THROTTLED_S = 60
THROTTLED_UP_TO = 1000
"""A cool-down of more replicas than this takes too long to simulate; all figures grow with their number."""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.scale", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", nargs="?", choices=("real", "simulated", "capacity"), help="default: all")
    parser.add_argument("replicas", nargs="*", type=int, help="fleet sizes")
    arguments = parser.parse_args()
    if arguments.part in (None, "capacity"):
        _capacity()
    if arguments.part in (None, "simulated"):
        _simulated(arguments.replicas or [10, 100, 1000, 10_000])
    if arguments.part in (None, "real"):
        _real(arguments.replicas or [1, 10, 100])


def _capacity() -> None:
    kinds, rates = asyncio.run(capacity.measure())
    _row("operation", "bytes in", "bytes out", "µs in the script", "µs of the server")
    for kind in kinds:
        _row(kind.name, *map(round, (kind.in_bytes, kind.out_bytes, kind.script_us, kind.cpu_us)))
    _row("command", "a second", "p50, ms", "slowest, ms")
    for rate in rates:
        _row(rate.name, round(rate.per_s), f"{rate.p50_ms:.1f}", f"{rate.slowest_ms:.1f}")


def _simulated(sizes: list[int]) -> None:
    _row(
        "replicas", "the partner's answer", "looks a replica", "claims", "held", "partner calls",
        "most operations in 1 s", "in 0.1 s", "took, s",
    )  # fmt: skip
    for replicas in sizes:
        _rotation(f"after {simulated.CALL_S:g} s", simulated.simulate(replicas))
        _rotation(f"after {SLOW_CALL_S:g} s", simulated.simulate(replicas, call_s=SLOW_CALL_S))
        if replicas <= THROTTLED_UP_TO:
            throttled = simulated.simulate(replicas, throttled_s=THROTTLED_S)
            _rotation(f"429, cool-down of {THROTTLED_S} s", throttled)


def _rotation(answer: str, rotation: simulated.Rotation) -> None:
    tally = rotation.tally
    _row(
        rotation.replicas, answer, f"{rotation.per_replica('peek'):.1f}", tally.kinds["claim"], tally.outcomes["Held"],
        rotation.calls, tally.most_within(1), tally.most_within(simulated.BIN_S), f"{rotation.took_s:.1f}",
    )  # fmt: skip


def _real(sizes: list[int]) -> None:
    _row(
        "replicas", "operations/s", "bytes/s", "operations a rotation", "bytes a rotation", "of them claims",
        "partner calls a rotation", "µs of Redis an operation", "µs in the script", "connections", "MiB resident",
        "bytes a profile", "% of a core", "ms of CPU a rotation",
    )  # fmt: skip
    for replicas in sizes:
        cost = asyncio.run(real.measure(replicas, ROTATIONS))
        _row(
            cost.replicas, f"{cost.quiet_operations_per_s:.2f}", round(cost.quiet_bytes_per_s),
            f"{cost.rotation_operations:.1f}", round(cost.rotation_bytes), f"{cost.rotation_claims:.2f}",
            f"{cost.calls_per_rotation:g}", round(cost.operation_cpu_s * 1e6), round(cost.operation_script_s * 1e6),
            f"{cost.connections:.1f}", round(cost.resident_bytes / 2**20), cost.profile_bytes,
            f"{cost.quiet_cpu_share * 100:.3f}", f"{cost.rotation_cpu_s * 1e3:.1f}",
        )  # fmt: skip


def _row(*cells: object) -> None:
    print("|", " | ".join(map(str, cells)), "|", flush=True)


if __name__ == "__main__":
    main()
