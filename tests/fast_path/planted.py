"""Bugs that tests plant in the fast path, by monkeypatching the product."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias, cast

import pytest
from aiohttp.web_request import BaseRequest
from multidict import CIMultiDict

from sidecar.core.model import Token
from sidecar.core.process_events import Endpoint
from sidecar.vending.api import TokenProvider, VendedToken
from sidecar.web.api.app import TokenApi
from sidecar.web.server import fast_path, known_requests, protocol, socket_protocol
from sidecar.web.server.fast_path import CachedResponse, FastPath, Render
from sidecar.web.server.known_requests import Key
from sidecar.web.server.protocol import HttpConnection
from sidecar.web.server.request_handler import HttpRequest
from sidecar.web.server.socket_protocol import Peer, peer_of

Plant: TypeAlias = Callable[[pytest.MonkeyPatch], None]

NAMES = rb"traceparent|tracestate|b3|x-request-id|x-correlation-id"


def fast_path_without(*names: str) -> Plant:
    """Build the fast path without these arguments: nothing is reported, or nothing is compared."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        make = FastPath.__init__

        def init(self: FastPath, *args: Any, **named: Any) -> None:  # noqa: ANN401 - whatever it is made with
            make(self, *args, **{name: value for name, value in named.items() if name not in names})

        patch.setattr(FastPath, "__init__", init)

    return plant


def stored_with(**named: object) -> Plant:
    """Store every response with these values, whatever its own are."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        add = FastPath.add
        patch.setattr(FastPath, "add", lambda *args, **given: add(*args, **{**given, **named}))

    return plant


def caller_tokens_ignored(patch: pytest.MonkeyPatch) -> None:
    fast_path_without("caller_tokens")(patch)
    stored_with(caller_tokens=None)(patch)


def stored_under_the_latest_caller_tokens(patch: pytest.MonkeyPatch) -> None:
    """Store under the latest caller tokens instead of those that the guards used."""
    add = FastPath.add

    def changed(self: FastPath, *args: Any, **named: Any) -> None:  # noqa: ANN401 - whatever is stored
        add(self, *args, **{**named, "caller_tokens": self._caller_tokens()})

    patch.setattr(FastPath, "add", changed)


def peer_key(change: Callable[[bytes], bytes]) -> Plant:
    """Omit a part of what the guards read of a peer from the keys of requests."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        def changed(transport: asyncio.BaseTransport) -> Peer:
            peer = peer_of(transport)
            return replace(peer, key=change(peer.key))

        patch.setattr(socket_protocol, "peer_of", changed)

    return plant


def stored_as(change: Callable[[HttpRequest], BaseRequest]) -> Plant:
    """Make `TokenApi` ignore something of the request when it decides whether to store its response."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        add = TokenApi._add_to_fast_path

        def overlook(self: TokenApi, table: FastPath, request: HttpRequest, *rest: Any) -> None:  # noqa: ANN401
            add(self, table, cast("HttpRequest", change(request)), *rest)

        patch.setattr(TokenApi, "_add_to_fast_path", overlook)

    return plant


def without_condition(request: HttpRequest) -> BaseRequest:
    headers = CIMultiDict((name, value) for name, value in request.headers.items() if name != "If-None-Match")
    return request.clone(headers=headers)


def without_query(request: HttpRequest) -> BaseRequest:
    return request.clone(rel_url=request.raw_path.partition("?")[0])


class _Holding:
    """A provider that keeps every token."""

    def __init__(self, provider: TokenProvider) -> None:
        self._provider = provider

    def __getattr__(self, name: str) -> object:
        return getattr(self._provider, name)

    def holds(self, token: Token) -> bool:
        return True


def tokens_held_for_ever(patch: pytest.MonkeyPatch) -> None:
    add, made = FastPath.add, dict[int, _Holding]()

    def changed(
        self: FastPath,
        key: Key,
        render: Render,
        provider: TokenProvider,
        endpoint: Endpoint,
        **named: Any,  # noqa: ANN401 - whatever is stored
    ) -> None:
        holding = made.setdefault(id(provider), _Holding(provider))
        add(self, key, render, holding, endpoint, **named)  # type: ignore[arg-type]  # has all attributes of a provider

    patch.setattr(FastPath, "add", changed)


def responses_good_for_ever(patch: pytest.MonkeyPatch) -> None:
    """Reuse a response as long as the token is held, and the second of `Date` is the same."""
    render = FastPath._render

    def changed(self: FastPath, response: CachedResponse, vended: VendedToken) -> None:
        render(self, response, vended)
        response.valid_until = math.inf

    patch.setattr(FastPath, "_render", changed)


def wall_clock_of_the_start(patch: pytest.MonkeyPatch) -> None:
    make = FastPath.__init__

    def init(self: FastPath, *args: Any, **named: Any) -> None:  # noqa: ANN401 - as it is made
        make(self, *args, **named)
        at = self._wall()
        self._wall = lambda: at

    patch.setattr(FastPath, "__init__", init)


def dropped(lines: bytes) -> Plant:
    """Omit other lines than the intended ones from the keys of requests."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(known_requests, "_TRACES", re.compile(rb"\r\n(?i:" + lines + rb")(?=\r\n[^ \t])"))

    return plant


def odd_traces_answered(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(known_requests, "_NOT_LEFT_OUT", re.compile(rb"(?!)"))


def traces_not_read(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fast_path, "trace_of", lambda _: None)


def heads_with_bodies_stored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(protocol, "is_plain", lambda _: True)


def always_at_rest_after(method: str) -> Plant:
    """Look requests up in the fast path after this, whatever the state of the connection."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        original: Callable[..., None] = getattr(HttpConnection, method)

        def changed(self: HttpConnection, *args: object, **named: object) -> None:
            original(self, *args, **named)
            if self._fast_path is not None:
                self._at_rest = True

        patch.setattr(HttpConnection, method, changed)

    return plant


def key_of_the_request_before_kept(patch: pytest.MonkeyPatch) -> None:
    """Store requests of a client that does not read under the key of the previous one."""
    receive, leave = HttpConnection.data_received, HttpConnection._leave_rest
    latest = dict[HttpConnection, bytes]()

    def remember(self: HttpConnection, data: bytes) -> None:
        receive(self, data)
        latest[self] = data

    def changed(self: HttpConnection, data: bytes) -> None:
        leave(self, data)
        if self.write_paused and self._fast_path is not None:
            self.fast_key = self._fast_path.key_of(latest[self], self.peer)

    patch.setattr(HttpConnection, "data_received", remember)
    patch.setattr(HttpConnection, "_leave_rest", changed)


def key_kept_for_the_next_request(patch: pytest.MonkeyPatch) -> None:
    """Store a request that comes while another one is answered under that one's key."""
    receive, finish = HttpConnection.data_received, HttpConnection.finish

    def keep_at_receipt(self: HttpConnection, data: bytes) -> None:
        key, is_at_rest = self.fast_key, self._at_rest
        receive(self, data)
        if not is_at_rest:
            self.fast_key = key

    def keep_at_the_end(self: HttpConnection, *, keeps: bool) -> None:
        key = self.fast_key
        finish(self, keeps=keeps)
        self.fast_key = key

    patch.setattr(HttpConnection, "data_received", keep_at_receipt)
    patch.setattr(HttpConnection, "finish", keep_at_the_end)


def drain_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(FastPath, "close", lambda _: None)


def responses_not_counted(patch: pytest.MonkeyPatch) -> None:
    class NoTally:
        def count(self, code: str, duration_s: float) -> None:
            """Nothing is counted."""

    make = FastPath.__init__

    def init(self: FastPath, clock: Any, tally_of: Any, **named: Any) -> None:  # noqa: ANN401 - as it is made
        make(self, clock, lambda _profile, _endpoint: NoTally(), **named)

    patch.setattr(FastPath, "__init__", init)
