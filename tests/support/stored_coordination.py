"""The coordination document as it is stored: lease, permits and pauses, by the clock of the store."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from sidecar.stores.documents import Coordination
from tests.servers import RedisServer
from tests.support.replica import HANG_S


def coordination_in_redis(server: RedisServer) -> Coordination | None:
    """Return the document of the only account in this server; None while there is none."""
    for key in server.command("KEYS", "pts:*:gate"):
        return msgspec.json.decode(server.command("GET", key), type=Coordination)
    return None


def coordination_in_file(path: Path) -> Coordination | None:
    """Return the document of the only account in this SQLite file, which must exist; None while there is none."""
    with closing(sqlite3.connect(path, timeout=HANG_S)) as connection:
        row = connection.execute("SELECT document FROM kept WHERE name LIKE '%:gate'").fetchone()
    return None if row is None else msgspec.json.decode(row[0], type=Coordination)
