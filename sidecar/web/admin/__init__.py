"""The admin listener for operators: probes, metrics and status."""
