"""The protocol between replicas and store as a model, and spin to look at every schedule of it."""
