"""Alert rules, runbook and dashboard: they name only what there is, and a real Prometheus makes sense of them."""
