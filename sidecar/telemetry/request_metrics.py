"""Counts the vending requests in plain integers.

Each response on the fast path is counted, and the counters of prometheus_client would cost as much as the response.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from sidecar.core.model import Seconds
from sidecar.core.process_events import Endpoint
from sidecar.telemetry.metric_names import CODES, NAMESPACE, ROUTES

BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""A response from memory takes well under a millisecond."""
_BOUNDS = [*map(floatToGoString, BUCKETS_S), "+Inf"]


class _Durations:
    """One route's histogram. The last count is for durations above every bound."""

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_S) + 1)
        self.sum_s: Seconds = 0


class Tally:
    """A `RequestTally`. Written and read on the event loop only, so no count is lost between threads."""

    __slots__ = ("_durations", "codes")

    def __init__(self, durations: _Durations) -> None:
        self.codes = dict.fromkeys(CODES, 0)
        self._durations = durations

    def count(self, code: str, duration_s: Seconds) -> None:
        if code in self.codes:
            self.codes[code] += 1
        durations = self._durations
        durations.counts[bisect_left(BUCKETS_S, duration_s)] += 1
        durations.sum_s += duration_s


class RequestCounts(Collector):
    """`requests_total` and `request_duration_seconds`. Profiles that are not configured count as ""."""

    def __init__(self, profiles: Sequence[str]) -> None:
        self._durations = {route: _Durations() for route in ROUTES}
        self._tallies = {
            (profile, route): Tally(self._durations[route])
            for profile, route in itertools.product((*profiles, ""), ROUTES)
        }

    def tally(self, profile: str, route: Endpoint) -> Tally:
        return self._tallies.get((profile, route)) or self._tallies["", route]

    def describe(self) -> Iterable[Metric]:
        """Return nothing: no other collector uses these names."""
        return ()

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            f"{NAMESPACE}_requests", "Vending requests answered.", labels=("profile", "route", "code")
        )
        for (profile, route), tally in self._tallies.items():
            for code, count in tally.codes.items():
                requests.add_metric([profile, route, code], count)
        yield requests
        took = HistogramMetricFamily(
            f"{NAMESPACE}_request_duration_seconds", "Duration of vending requests.", labels=("route",)
        )
        for route, durations in self._durations.items():
            buckets = list(zip(_BOUNDS, itertools.accumulate(durations.counts), strict=True))
            took.add_metric([route], buckets, durations.sum_s)
        yield took
