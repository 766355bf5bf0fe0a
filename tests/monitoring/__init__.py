"""Alert rules, runbook and dashboard name only what exists, and a real Prometheus evaluates them."""
