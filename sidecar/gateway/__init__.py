"""The gateway: apps call the partner through it and hold no secret. Loaded only where it is set up."""
