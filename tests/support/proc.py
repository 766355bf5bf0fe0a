"""CPU time of a process, as Linux counts it."""

from __future__ import annotations

from pathlib import Path


def cpu_s(pid: int) -> float:
    """Return the time of all its threads so far, in ns (Documentation/scheduler/sched-stats.rst: the first field).

    `/proc/PID/stat` counts in steps of 10 ms, which is more than an idle process uses in seconds.
    """
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9
