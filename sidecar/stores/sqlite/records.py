"""A profile's record in the file: three documents, one of them the clock that all profiles share."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias, TypeVar

import msgspec
from msgspec.structs import replace

from sidecar.core.model import Profile, Token
from sidecar.stores.codec import UNREADABLE, decode_stored_token, encode_stored_token, open_token
from sidecar.stores.decisions import SealedToken
from sidecar.stores.documents import MAX_DOCUMENT_BYTES, Coordination, DamagedName, is_credible, sanitize
from sidecar.stores.engine import ProfileRecord
from sidecar.stores.sealing import Sealer
from sidecar.stores.sqlite.clock import KeptTime, Readings, time_now

GATE_KEEP_MS = 7 * 24 * 3600 * 1000
"""As in Redis: a document that has not changed for so long is deleted."""
FOR_EVER_MS = 10**14
CLOCK = "clock"

READ = (
    "SELECT name, until_ms, CASE WHEN typeof(document) = 'blob' AND length(document) <= ? THEN document END "
    "FROM kept WHERE name IN (?, ?, ?)"
)
"""A document that is too long is not read from the file."""

T = TypeVar("T")
_Rows: TypeAlias = dict[str, tuple[object, bytes]]

_GATES = msgspec.json.Decoder(Coordination)
_TIMES = msgspec.json.Decoder(KeptTime)
_ENCODER = msgspec.json.Encoder(order="deterministic")


@dataclass(slots=True)
class LoadedRecord:
    """One profile's record and the time, as one statement read them."""

    profile: Profile
    sealer: Sealer
    record: ProfileRecord
    kept: KeptTime | None
    time: KeptTime
    gate_before: bytes | None

    @property
    def changed(self) -> bool:
        """Whether there is something to write; the passing of time alone is not."""
        if self.kept is None or self.kept != replace(self.time, last_ms=self.kept.last_ms):
            return True
        return self._gate_document() != self.gate_before or isinstance(self.record.token, Token)

    def save(self, connection: sqlite3.Connection) -> None:
        """Write changes and the latest instant, and delete expired rows, within the caller's transaction."""
        now_ms = self.time.last_ms
        if self.kept is None:
            # The clock state was lost, so instants by that clock have no meaning.
            connection.execute("DELETE FROM kept")
        connection.execute("DELETE FROM kept WHERE until_ms <= ?", (now_ms,))
        _put(connection, CLOCK, FOR_EVER_MS, _ENCODER.encode(self.time))
        gate = self._gate_document()
        if gate is not None and gate != self.gate_before:
            _put(connection, _gate_name(self.profile), now_ms + GATE_KEEP_MS, gate)
        if isinstance(self.record.token, Token):
            document = encode_stored_token(self.record.token, self.profile, self.sealer)
            _put(connection, _token_name(self.profile), self.record.token_gone_ms, document)

    def _gate_document(self) -> bytes | None:
        return None if self.record.gate is None else _ENCODER.encode(self.record.gate)


def load(connection: sqlite3.Connection, profile: Profile, sealer: Sealer, readings: Readings) -> LoadedRecord:
    """Read the profile's record. An unusable document counts as missing and is named in `ProfileRecord.damaged`."""
    names = (CLOCK, _gate_name(profile), _token_name(profile))
    rows = connection.execute(READ, (MAX_DOCUMENT_BYTES, *names))
    found = {name.decode(): (until_ms, document) for name, until_ms, document in rows}
    damaged: list[DamagedName] = []
    # Without the clock no instant can be interpreted, so every document counts as missing.
    kept = _decoded(found, CLOCK, _TIMES.decode, "gate", damaged)
    time = time_now(kept, readings)
    running = {name: row for name, row in found.items() if kept is not None and _ends_after(row[0], time.last_ms)}
    gate = _decoded(running, _gate_name(profile), _GATES.decode, "gate", damaged)
    stored = _decoded(running, _token_name(profile), decode_stored_token, "token", damaged)
    if gate is not None and not is_credible(gate, time.last_ms):
        gate = None
        damaged.append("gate")
    if stored is not None and not is_credible(stored, time.last_ms):
        stored = None
        damaged.append("token")
    token = None
    if stored is not None:
        token = SealedToken(stored.fence, stored.id, partial(open_token, stored, profile.profile_id, sealer))
    gate_before = None if gate is None else _ENCODER.encode(gate)
    if gate is not None:
        sanitize(gate, time.last_ms)
    return LoadedRecord(profile, sealer, ProfileRecord(gate, token, FOR_EVER_MS, damaged), kept, time, gate_before)


def drop(connection: sqlite3.Connection, profile: Profile) -> None:
    """Delete the profile's documents."""
    connection.execute("DELETE FROM kept WHERE name IN (?, ?)", (_gate_name(profile), _token_name(profile)))


def _decoded(
    rows: _Rows, name: str, decode: Callable[[bytes], T], what: DamagedName, damaged: list[DamagedName]
) -> T | None:
    if name not in rows:
        return None
    try:
        return decode(rows[name][1])
    except (*UNREADABLE, TypeError):
        # Invalid JSON, JSON nested too deeply, another shape, or another SQLite type.
        damaged.append(what)
        return None


def _ends_after(until_ms: object, now_ms: int) -> bool:
    return not isinstance(until_ms, int) or until_ms > now_ms


def _put(connection: sqlite3.Connection, name: str, until_ms: int, document: bytes) -> None:
    connection.execute("REPLACE INTO kept (name, until_ms, document) VALUES (?, ?, ?)", (name, until_ms, document))


def _gate_name(profile: Profile) -> str:
    return f"{profile.profile_id}:gate"


def _token_name(profile: Profile) -> str:
    return f"{profile.profile_id}:token"
