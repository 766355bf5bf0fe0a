"""The shared state twice, in process memory and on Redis, with the sealing of tokens at rest."""
