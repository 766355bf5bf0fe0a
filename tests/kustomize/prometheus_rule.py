"""The alerts for the Prometheus operator, made from deploy/prometheus/rules.yml.

`python -m tests.kustomize.prometheus_rule` writes the file. kustomize cannot put one file into another, so there are
two; rules.yml is the source, which promtool tests.
"""

from __future__ import annotations

import textwrap

from tests.kustomize.rendering import KUSTOMIZE

SOURCE = KUSTOMIZE.parent / "prometheus/rules.yml"
RULE = KUSTOMIZE / "components/monitoring/prometheusrule.yaml"

_HEAD = """\
# Made of ../../../prometheus/rules.yml, where changes belong: python -m tests.kustomize.prometheus_rule
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: token-sidecar
spec:
"""


def rule() -> str:
    """Return the whole file."""
    return _HEAD + textwrap.indent(SOURCE.read_text(encoding="utf-8"), "  ")


if __name__ == "__main__":
    RULE.write_text(rule(), encoding="utf-8")
