"""The protocol between replicas and store as a model, and a search of all its schedules with spin."""
