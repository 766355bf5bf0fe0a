"""`make floods`: each kind of flood for FLOOD_S seconds (10) against one sidecar, as the table in SECURITY.md.

Arguments restrict it to some kinds.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from tests.floods.attacker import KINDS, connections_of
from tests.floods.flood import flood, victim

MIB = 1 << 20


async def _main() -> None:
    seconds = float(os.environ.get("FLOOD_S", "10"))
    _row("flood", "connections", "requests", "good answers", "lost", "p50, ms", "p99, ms", "slowest, ms",
         "MiB before", "at most", "after", "open at most", "log lines")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        async with victim(Path(folder)) as replica:
            for kind in sys.argv[1:] or KINDS:
                seen = await flood(replica, kind, seconds=seconds, connections=connections_of(kind))
                waits_ms = [f"{seen.caller.wait_s(share) * 1000:.1f}" for share in (0.5, 0.99, 1)]
                sizes = [f"{size / MIB:.1f}" for size in (seen.before_bytes, seen.peak_bytes, seen.after_bytes)]
                _row(kind, seen.connections, seen.requests, len(seen.caller.waits_s), len(seen.caller.lost),
                     *waits_ms, *sizes, seen.open_at_most, len(seen.log))  # fmt: skip


def _row(*cells: object) -> None:
    print("|", " | ".join(map(str, cells)), "|", flush=True)


if __name__ == "__main__":
    asyncio.run(_main())
