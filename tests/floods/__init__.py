"""Floods of connections and requests against one real sidecar, and what a good caller sees of them."""
