"""Secrets that callers and the partner know, read from files that may change."""
