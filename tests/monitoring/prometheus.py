"""A real Prometheus on loopback, with the alert rules, that scrapes twice a second."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.servers import free_port
from tests.support.replica import PATIENT_S

RULES = Path(__file__).parents[2] / "deploy/prometheus/rules.yml"
JOB, NAMESPACE = "pay", "shop"
OPERATOR_LABELS = {
    "container": "token-sidecar",
    "endpoint": "admin",
    "namespace": NAMESPACE,
    "pod": "pay-0",
    "service": "pay",
}
"""The labels that its operator adds to each target. A label of ours with such a name would be renamed."""
SCRAPE_S = 0.5
STEP_S = 0.25
"""Shorter than the time between scrapes, which expressions refer to."""
SHORTENED = {"[6h:5m]": "[1m:250ms]", "[5m:30s]": "[2500ms:250ms]"}
"""Spans over which an expression counts steps, and short spans with as many steps."""


def shortened(expr: str) -> str:
    """Replace spans of minutes and hours by seconds; the numbers that the expression compares with stay."""
    for span, short in SHORTENED.items():
        expr = expr.replace(span, short)
    return expr


class QueryError(Exception):
    """Prometheus refuses an expression; the text is its message."""


class Prometheus:
    """One process that scrapes these targets, `host:port` each, as pods of one app."""

    def __init__(self, folder: Path, targets: Sequence[str]) -> None:
        binary = shutil.which("prometheus")
        if binary is None:
            pytest.fail("prometheus is not on the path (Debian: apt-get install prometheus)", pytrace=False)
        self._url = f"http://127.0.0.1:{free_port()}"
        config = folder / "prometheus.yml"
        config.write_text(yaml.safe_dump(_config(targets)))
        with (folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    binary,
                    f"--config.file={config}",
                    f"--storage.tsdb.path={folder / 'prometheus'}",
                    f"--web.listen-address={self._url.removeprefix('http://')}",
                ],
                stdout=log,
                stderr=log,
            )

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def is_ready(self) -> bool:
        assert self._process.poll() is None
        try:
            with urllib.request.urlopen(f"{self._url}/-/ready", timeout=PATIENT_S) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    def now(self, expr: str) -> list[dict[str, Any]]:
        """Return the current series."""
        return self._series("query", query=expr)

    def during(self, expr: str, span: tuple[float, float]) -> list[dict[str, Any]]:
        """Return the series that had a value at some time from `span[0]` to `span[1]`, both UTC epoch seconds."""
        return self._series("query_range", query=expr, start=str(span[0]), end=str(span[1]), step=str(STEP_S))

    def label_values(self, label: str, selector: str) -> list[str]:
        values: list[str] = self.ask(f"label/{label}/values", **{"match[]": selector})
        return values

    def _series(self, path: str, **parameters: str) -> list[dict[str, Any]]:
        series: list[dict[str, Any]] = self.ask(path, **parameters)["result"]
        return series

    def ask(self, path: str, **parameters: str) -> Any:  # noqa: ANN401 - the document's `data`, of any shape
        """Return `data` of the response. Raises `QueryError`, also for a warning."""
        url = f"{self._url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=PATIENT_S) as response:
                document = json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                raise QueryError(error.read().decode()) from None
        if document.get("warnings"):
            raise QueryError(str(document["warnings"]))
        return document["data"]


def _config(targets: Sequence[str]) -> dict[str, Any]:
    every = f"{round(SCRAPE_S * 1000)}ms"
    static = {"targets": list(targets), "labels": OPERATOR_LABELS}
    return {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "rule_files": [str(RULES)],
        "scrape_configs": [{"job_name": JOB, "static_configs": [static]}],
    }
