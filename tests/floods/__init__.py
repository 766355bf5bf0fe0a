"""Floods of connections and requests against one real sidecar, and the responses that a good caller gets."""
