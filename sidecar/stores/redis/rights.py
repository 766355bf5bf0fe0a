"""The permissions that the store's user needs, as rules of ACL SETUSER. Each of them is required."""

from __future__ import annotations

LEAST_RIGHTS = "resetkeys ~pts:* resetchannels -@all +eval +evalsha +get +set +time +ping"
"""On a server; also behind sentinels. With a database other than 0: `+select` too."""

CLUSTER_RIGHTS = f"{LEAST_RIGHTS} +cluster|slots +asking"
"""On every node of a cluster."""

SENTINEL_RIGHTS = "resetkeys resetchannels -@all +sentinel|get-master-addr-by-name"
"""On the sentinels, which have users of their own."""
