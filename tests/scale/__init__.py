"""The costs of a fleet for its store, measured with real processes, and on virtual time."""
