"""A store in one file, with time and loss in the test's hand."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sidecar.stores.factory import Store
from sidecar.stores.sealing import Sealer
from sidecar.stores.sqlite.records import FOR_EVER_MS
from sidecar.stores.sqlite.store import SqliteStore
from tests.contract.worlds import PROFILE, SEALER, Part
from tests.support.hand_clock import HandClock
from tests.support.hand_readings import HandReadings
from tests.support.replica import PATIENT_S


class SqliteWorld:
    """Losing the data is what an operator does to a running sidecar: the files are removed under it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "state.db"
        self.readings = HandReadings()
        self.store: Store = self.another()

    def another(self, sealer: Sealer = SEALER, timeout_s: float = PATIENT_S) -> SqliteStore:
        return SqliteStore(
            self.path, timeout_s=timeout_s, sealer=sealer, clock=HandClock(), readings=self.readings
        )  # fmt: skip

    def advance(self, span_s: float) -> None:
        self.readings.advance(span_s)

    def lose_data(self) -> None:
        for path in self.path.parent.glob(f"{self.path.name}*"):
            path.unlink()

    def get(self, part: Part) -> bytes:
        with closing(sqlite3.connect(self.path)) as connection:
            row = connection.execute("SELECT document FROM kept WHERE name = ?", (f"{PROFILE.profile_id}:{part}",))
            return bytes(row.fetchone()[0])

    def put(self, part: Part, document: bytes) -> None:
        self._put(part, document)

    def put_other_type(self, part: Part) -> None:
        self._put(part, 7.5)

    def _put(self, part: Part, document: bytes | float) -> None:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            values = (f"{PROFILE.profile_id}:{part}", FOR_EVER_MS, document)
            connection.execute("REPLACE INTO kept (name, until_ms, document) VALUES (?, ?, ?)", values)
