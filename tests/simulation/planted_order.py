"""Known mistakes about which of two facts is the later one, to be planted like those of `planted`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from unittest import mock

from sidecar.core.model import PartnerToken, Token
from sidecar.core.shared_state import Grant, LearnedLifetime, Pause, State
from sidecar.stores import decisions
from sidecar.stores.documents import Coordination, OutcomeName, StoredConfirmation
from sidecar.stores.merging import merge_grants
from sidecar.vending import replica_state, store_mirror
from sidecar.vending.partner_call import PartnerCall
from sidecar.vending.replica_state import ReplicaState
from sidecar.vending.store_mirror import with_success


@contextlib.contextmanager
def no_look_before_the_first_byte() -> Iterator[None]:
    """A grant that is repeated for its nonce is used, though the reply contains a cool-down."""

    def may_send(self: PartnerCall) -> bool:
        return self.clock.monotonic() <= self.lease.send_by

    with mock.patch.object(PartnerCall, "_may_send", may_send):
        yield


@contextlib.contextmanager
def success_ends_every_pause() -> Iterator[None]:
    """A local call's token ends a cool-down that began during the call."""

    def end_all(state: State, token: Token, learned: LearnedLifetime) -> State:
        blocks = {key: block for key, block in state.credential_blocks.items() if key != token.credentials_id}
        return with_success(replace(state, pause=None, credential_blocks=blocks), token, learned)

    with mock.patch.object(replica_state, "with_success", end_all):
        yield


@contextlib.contextmanager
def last_pause_counts() -> Iterator[None]:
    """A short back-off replaces a long cool-down, in memory."""

    def last(_running: Pause | None, new: Pause) -> Pause:
        return new

    with mock.patch.object(store_mirror, "_longer", last):
        yield


@contextlib.contextmanager
def every_return_confirms() -> Iterator[None]:
    """A token that comes again counts as confirmed, though it was reported after its call had been granted."""

    def judge(gate: Coordination, token: Token, _over_below: int) -> None:
        reported, gate.reported, gate.confirmed = gate.reported, None, None
        if reported is not None and reported.id == token.token_id:
            gate.confirmed = StoredConfirmation(token.token_id, token.fence)

    with mock.patch.object(decisions, "_judge_report", judge):
        yield


@contextlib.contextmanager
def own_success_confirms_the_held_token() -> Iterator[None]:
    """The result of a call is recorded for the token that is held when the call ends."""

    def note(self: ReplicaState, _token: Token, learned: LearnedLifetime) -> None:
        held, state = self.token, self._now_state()
        if held is not None:
            reported = state.reported and replace(state.reported, fence=0)
            self._record(with_success(replace(state, reported=reported), held, learned))

    with mock.patch.object(ReplicaState, "record_success", note):
        yield


@contextlib.contextmanager
def own_token_is_always_taken() -> Iterator[None]:
    """A slow call's token replaces a newer one."""
    on_token = PartnerCall._on_token

    async def land_over(self: PartnerCall, answer: PartnerToken) -> None:
        replica, token = self.replica, self.replica.token
        if token is not None and token.fence > self.lease.fence:
            replica.token = replace(token, fence=0)
        await on_token(self, answer)

    with mock.patch.object(PartnerCall, "_on_token", land_over):
        yield


@contextlib.contextmanager
def instants_compared_with_fences() -> Iterator[None]:
    """A pause is over when it began before the token's fence, read as a timestamp."""
    commit = decisions.commit

    def commit_by_instants(stored: decisions.Stored, nonce: str, token: Token, learned: LearnedLifetime) -> OutcomeName:
        if (pause := stored.gate.pause) is not None:
            pause.fence = pause.from_ms
        return commit(stored, nonce, token, learned)

    with mock.patch.object(decisions, "commit", commit_by_instants):
        yield


@contextlib.contextmanager
def local_fences_like_leases() -> Iterator[None]:
    """A local call may get the fence of another replica's lease."""
    begin = ReplicaState.begin_local_call

    def begin_with_any(self: ReplicaState) -> int:
        store_ms = int(self.store_time.at(self._clock.monotonic()) * 1000)
        fence = max(self.mirror.state.fence + 1, self.known_fence + 1, store_ms)
        begin(self)
        self._record(replace(self.mirror.state, fence=fence))
        return fence

    with mock.patch.object(ReplicaState, "begin_local_call", begin_with_any):
        yield


@contextlib.contextmanager
def longer_list_of_grants_counts() -> Iterator[None]:
    """The longer of the stored and the remembered list of permits is kept, as a whole."""

    def keep_the_longer(gate: Coordination, offered: Iterable[Grant], now_ms: int, *, clock_stepped: bool) -> None:
        offered = tuple(offered)
        if len(offered) > len(gate.grants):
            gate.grants = []
            merge_grants(gate, offered, now_ms, clock_stepped=clock_stepped)

    with mock.patch.object(decisions, "merge_grants", keep_the_longer):
        yield
