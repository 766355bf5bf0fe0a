"""A sidecar that keeps one partner access token for a whole fleet and vends it locally."""

__version__ = "0.1.0"
