"""The sidecar, the programs that users could use instead, and the limit of the machine, measured in one run."""
