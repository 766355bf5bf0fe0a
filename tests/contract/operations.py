"""Each operation once, and stores opened for a while."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from sidecar.core.errors import FailureKind, StoreError
from sidecar.core.ports import SharedState
from sidecar.core.shared_state import LearnedLifetime, ReplicaMemory, State
from sidecar.core.store_url import parse_store_url
from sidecar.stores.factory import Store, open_store
from tests.contract.worlds import SEALER, a_failure, a_token, an_ask
from tests.support.hand_clock import HandClock
from tests.support.replica import PATIENT_S

_T = TypeVar("_T")
OPERATIONS = ("claim", "commit", "fail", "reject", "peek", "seed")


@asynccontextmanager
async def opened(url: str, timeout_s: float = PATIENT_S) -> AsyncIterator[Store]:
    store = open_store(parse_store_url(url), timeout_s=timeout_s, sealer=SEALER, clock=HandClock())
    try:
        yield store
    finally:
        await store.close()


async def answered(operation: Callable[[], Awaitable[_T]]) -> _T:
    """Repeat it until it does not fail: on a busy machine a short time limit ends some attempts."""
    while True:
        with suppress(StoreError):
            return await operation()


async def run_one(shared: SharedState, operation: str) -> object:
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "claim": lambda: shared.claim(an_ask()),
        "commit": lambda: shared.commit("r/1", a_token(5), 0, LearnedLifetime()),
        "fail": lambda: shared.fail(a_failure("r/1", 5, FailureKind.TIMEOUT, 1, "credentials-1", None)),
        "reject": lambda: shared.reject("some-token", 0),
        "peek": lambda: shared.peek(0),
        "seed": lambda: shared.seed(ReplicaMemory(state=State(), token=a_token(4), token_age_s=0)),
    }
    return await calls[operation]()
