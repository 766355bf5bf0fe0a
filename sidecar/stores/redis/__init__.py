"""Redis and Valkey: alone, behind sentinels, and as a cluster."""
