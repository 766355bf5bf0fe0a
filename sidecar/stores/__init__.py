"""The shared state in process memory, in a file and on Redis, with the sealing of tokens at rest."""
