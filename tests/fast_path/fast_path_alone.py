"""One fast path without a listener: requests are stored and found without a connection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sidecar.core.model import Secret
from sidecar.credentials.caller_token import CallerTokens
from sidecar.vending.api import VendedToken
from sidecar.web.responses import Response, json_response
from sidecar.web.server.fast_path import CachedResponse, FastPath
from sidecar.web.server.known_requests import MAX_REQUEST_BYTES, Key
from sidecar.web.server.socket_protocol import Peer
from tests.fast_path.aging_provider import AgingProvider
from tests.support.fake_provider import FixedClock
from tests.support.fast_listener import Counting
from tests.support.sink import ListAudit, ListSink

WALL_STEP_S = 0.9375
"""The fraction of the wall clock's second at the start."""
TCP = Peer(is_unix=False, uid=None, local_address="127.0.0.1", key=b"tcp 127.0.0.1 ")


@dataclass(frozen=True)
class Client:
    peer: Peer = TCP
    caller: str = "127.0.0.1:50000"


class FastPathAlone:
    """`audit` and `spans` determine whether the fast path reports its responses."""

    def __init__(self, *, audit: bool = False, spans: bool = False, max_head_bytes: int = MAX_REQUEST_BYTES) -> None:
        self.clock = FixedClock()
        # Tokens and seconds of the wall clock do not begin at the same moments.
        self.clock.wall_step_s = WALL_STEP_S
        self.provider, self.tally = AgingProvider("default", self.clock), Counting()
        self.caller_tokens: CallerTokens | None = None
        self.audit, self.spans = ListAudit(), ListSink()
        self.rendered: list[VendedToken] = []
        self.fast_path = FastPath(
            self.clock,
            lambda _profile, _endpoint: self.tally,
            max_head_bytes=max_head_bytes,
            caller_tokens=lambda: self.caller_tokens,
            audit=self.audit if audit else None,
            spans=self.spans if spans else None,
        )

    def rotate(self, *caller_tokens: str) -> None:
        self.caller_tokens = CallerTokens(map(Secret, caller_tokens))

    def render(self, vended: VendedToken) -> Response:
        self.rendered.append(vended)
        document = {"token": vended.token.access.reveal(), "left": vended.expires_in_s, "since": vended.issued_at}
        return json_response(200, document)

    def key(self, head: bytes, peer: Peer = TCP) -> Key:
        key = self.fast_path.key_of(head, peer)
        assert key is not None
        return key

    def store(self, head: bytes, times: int = 2, *, peer: Peer = TCP, closes: bool = False) -> None:
        """Store the request as if it had passed the guards and was answered this many times."""
        for _ in range(times):
            self.fast_path.add(
                self.key(head, peer),
                self.render,
                self.provider,
                "token",
                caller_tokens=self.caller_tokens,
                closes=closes,
            )

    def find(self, head: bytes, peer: Peer = TCP) -> CachedResponse | None:
        return self.fast_path.find(head, Client(peer))

    def response_to(self, head: bytes) -> bytes:
        """Return the response from the fast path, which must have one."""
        found = self.find(head)
        assert found is not None
        return found.data

    @property
    def parts_of_the_test(self) -> Sequence[object]:
        """Return objects that the fast path refers to and that belong to the test."""
        return self, self.provider, self.clock, self.tally, self.audit, self.spans
