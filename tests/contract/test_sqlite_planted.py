"""Who can write to the file can put more into it than values: work that never ends is ended."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import pytest

from sidecar.core.errors import StoreError
from tests.contract.operations import answered
from tests.contract.sqlite_world import SqliteWorld
from tests.contract.worlds import PROFILE, SEALER, an_ask, granted
from tests.support.replica import HANG_S

TIMEOUT_S = 0.3
ENDLESS = "SELECT max(x) FROM (WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n)"
TRIGGER = f"CREATE TRIGGER planted BEFORE INSERT ON kept BEGIN {ENDLESS}; END"
VIEW = (
    f"ALTER TABLE kept RENAME TO hidden; CREATE VIEW kept AS SELECT ({ENDLESS}) AS name, 1 AS until_ms, x'' AS document"
)


@pytest.mark.parametrize(
    ("planted", "undone"),
    [(TRIGGER, "DROP TRIGGER planted"), (VIEW, "DROP VIEW kept; ALTER TABLE hidden RENAME TO kept")],
)
async def test_planted_work_without_end_ends_with_the_operation(
    sqlite_world: SqliteWorld, planted: str, undone: str
) -> None:
    store = sqlite_world.another(SEALER, TIMEOUT_S)
    shared = store.shared_state(PROFILE)
    await answered(lambda: shared.peek(0))
    with closing(sqlite3.connect(sqlite_world.path)) as connection:
        connection.executescript(planted)
    for _ in range(2):
        with pytest.raises(StoreError):
            await asyncio.wait_for(shared.claim(an_ask()), HANG_S)
    with closing(sqlite3.connect(sqlite_world.path, timeout=HANG_S)) as connection:
        connection.executescript(undone)
    ask = an_ask()
    await answered(lambda: granted(shared, ask))
    await store.close()
