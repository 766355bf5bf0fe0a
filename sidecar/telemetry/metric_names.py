"""A counter whose series all exist from the start and never grow in number."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter

NAMESPACE = "token_sidecar"


class ClosedCounter:
    """Counts combinations of label values from closed sets. Other values are not counted.

    `labels` maps each label's name to its closed set.
    """

    def __init__(self, registry: CollectorRegistry, name: str, text: str, labels: Mapping[str, Sequence[str]]) -> None:
        counter = Counter(name, text, tuple(labels), namespace=NAMESPACE, registry=registry)
        # Cached: looking a series up by label takes a lock, for each request.
        self._series = {values: counter.labels(*values) for values in itertools.product(*labels.values())}

    def count(self, *values: str) -> None:
        series = self._series.get(values)
        if series is not None:
            series.inc()
