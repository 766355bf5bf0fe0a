"""A file store of a process that may open no more files."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.core.errors import StoreError
from sidecar.stores.sqlite.store import SqliteStore
from tests.contract.worlds import SEALER
from tests.support.exhausted import exhausted
from tests.support.hand_clock import HandClock
from tests.support.replica import PATIENT_S


@pytest.mark.parametrize("opened_before", [False, True])
async def test_the_limit_is_named_and_the_store_used_again_afterwards(tmp_path: Path, opened_before: bool) -> None:
    """SQLite says only that it cannot open a file: the database, or the journal beside it."""
    store = SqliteStore(tmp_path / "state.db", timeout_s=PATIENT_S, sealer=SEALER, clock=HandClock())
    if opened_before:
        await store.ping()
    with exhausted(), pytest.raises(StoreError) as caught:
        await store.ping()
    assert caught.value.cause == "EMFILE"
    assert "raise RLIMIT_NOFILE" in caught.value.words
    await store.ping()
    await store.close()
