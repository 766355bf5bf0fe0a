"""What a fleet of any size costs its store: measured on real processes, and on virtual time."""
