"""Another process with the same store file. On command it holds the lock of the file, or runs an operation."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

from sidecar.core.errors import StoreError
from sidecar.core.ports import SharedState
from sidecar.core.shared_state import LearnedLifetime
from sidecar.stores.sqlite.store import SqliteStore
from tests.contract.worlds import PROFILE, SEALER, a_token, an_ask, outcome_name
from tests.support.hand_clock import HandClock
from tests.support.replica import PATIENT_S


class PeerProcess:
    """Controls the process. `ask` sends a command and waits for its answer; `order` only sends, and `answer` reads."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.peer_process", str(path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        self.answer()

    def ask(self, command: str) -> dict[str, Any]:
        """`lock`, `unlock`, `peek`, `claim` or `fetch`."""
        self.order(command)
        return self.answer()

    def order(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")

    def answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        return dict(json.loads(self._process.stdout.readline()))

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


async def _serve(path: Path) -> None:
    """Run in the other process: read commands from stdin until it ends."""
    store = SqliteStore(path, timeout_s=PATIENT_S, sealer=SEALER, clock=HandClock())
    lock: sqlite3.Connection | None = None
    shared = store.shared_state(PROFILE)
    _send({})
    for line in sys.stdin:
        match line.strip():
            case "lock":
                lock = sqlite3.connect(path, isolation_level=None)
                lock.execute("BEGIN IMMEDIATE")
                _send({})
            case "unlock" if lock is not None:
                lock.execute("ROLLBACK")
                _send({})
            case command:
                try:
                    _send(await _run_operation(shared, command))
                except StoreError as error:
                    _send({"error": error.cause, "words": error.words})


async def _run_operation(shared: SharedState, command: str) -> dict[str, object]:
    nonce = f"peer-{os.getpid()}/{command}"
    if command == "claim":
        return {"outcome": outcome_name(await shared.claim(an_ask(nonce)))}
    if command == "fetch":
        token = a_token((await shared.claim(an_ask(nonce))).state.fence)
        await shared.commit(nonce, token, 0, LearnedLifetime())
    state = await shared.peek(0)
    return {"token_id": state.token_id, "epoch": state.epoch}


def _send(answer: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
