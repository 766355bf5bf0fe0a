"""The admin listener: probes, metrics and the state, for operators."""
