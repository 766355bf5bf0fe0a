"""The sidecar beside what users would pick instead, and beside the machine's limit, in one run."""
