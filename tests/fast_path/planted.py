"""Bugs that tests plant in the fast path, by monkeypatching the product."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import pytest
from aiohttp.web_request import BaseRequest
from multidict import CIMultiDict

from sidecar.core.request_events import Endpoint
from sidecar.vending.vendor import Vended, Vendor
from sidecar.web.server import fast_path, protocol
from sidecar.web.server.fast_path import FastPath, Render
from sidecar.web.server.peer import Peer
from sidecar.web.server.protocol import HttpConnection
from sidecar.web.token_api import TokenApi

Plant: TypeAlias = Callable[[pytest.MonkeyPatch], None]

NAMES = rb"traceparent|tracestate|b3|x-request-id|x-correlation-id"


def fast_path_without(*names: str) -> Plant:
    """The fast path is made without these arguments: nobody is told, or nothing is compared."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        make = FastPath.__init__

        def init(self: FastPath, *args: Any, **named: Any) -> None:  # noqa: ANN401 - whatever it is made with
            make(self, *args, **{name: value for name, value in named.items() if name not in names})

        patch.setattr(FastPath, "__init__", init)

    return plant


def learned_with(**named: object) -> Plant:
    """What is learned is said to be so, whatever it is."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        add = FastPath.add
        patch.setattr(FastPath, "add", lambda *args, **given: add(*args, **{**given, **named}))

    return plant


def caller_tokens_ignored(patch: pytest.MonkeyPatch) -> None:
    fast_path_without("caller_tokens")(patch)
    learned_with(caller_tokens=None)(patch)


def learned_under_the_latest_caller_tokens(patch: pytest.MonkeyPatch) -> None:
    """Not under those that were in force when the guards looked."""
    add = FastPath.add

    def learn(self: FastPath, *args: Any, **named: Any) -> None:  # noqa: ANN401 - whatever is learned
        add(self, *args, **{**named, "caller_tokens": self._caller_tokens()})

    patch.setattr(FastPath, "add", learn)


def peer_key(change: Callable[[bytes], bytes]) -> Plant:
    """A part of what the guards read of a peer is left out of the keys of requests."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        key_of = FastPath.key_of

        def changed(self: FastPath, head: bytes, peer: Peer) -> bytes | None:
            return key_of(self, head, replace(peer, key=change(peer.key)))

        patch.setattr(FastPath, "key_of", changed)

    return plant


def learned_as(change: Callable[[BaseRequest], BaseRequest]) -> Plant:
    """`TokenApi` overlooks something of the request when it decides whether to learn it."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        learn = TokenApi._learn

        def overlook(self: TokenApi, table: FastPath, request: BaseRequest, *rest: Any) -> None:  # noqa: ANN401
            learn(self, table, change(request), *rest)

        patch.setattr(TokenApi, "_learn", overlook)

    return plant


def without_condition(request: BaseRequest) -> BaseRequest:
    headers = CIMultiDict((name, value) for name, value in request.headers.items() if name != "If-None-Match")
    return request.clone(headers=headers)


def without_query(request: BaseRequest) -> BaseRequest:
    return request.clone(rel_url=request.raw_path.partition("?")[0])


class _OldVended:
    """A vendor whose `current` may go on vending what it vended at first."""

    def __init__(self, vendor: Vendor, is_kept: Callable[[Vended, Vended | None], bool]) -> None:
        self._vendor = vendor
        self._is_kept = is_kept
        self._first: Vended | None = None

    def __getattr__(self, name: str) -> object:
        return getattr(self._vendor, name)

    def current(self) -> Vended | None:
        now = self._vendor.current()
        if self._first is None or not self._is_kept(self._first, now):
            self._first = now
        return self._first


def old_vended(is_kept: Callable[[Vended, Vended | None], bool]) -> Plant:
    """The fast path goes on vending the first token where this says so."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        add, kept = FastPath.add, dict[int, _OldVended]()

        def learn(
            self: FastPath,
            key: bytes,
            render: Render,
            vended: Vended,
            vendor: Vendor,
            endpoint: Endpoint,
            **named: Any,  # noqa: ANN401 - whatever is learned
        ) -> None:
            old = kept.setdefault(id(vendor), _OldVended(vendor, is_kept))
            add(self, key, render, vended, old, endpoint, **named)  # type: ignore[arg-type]  # has all of a vendor

        patch.setattr(FastPath, "add", learn)

    return plant


def dropped(lines: bytes) -> Plant:
    """Other lines than the right ones are left out of the keys of requests."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(fast_path, "_TRACES", re.compile(rb"\r\n(?i:" + lines + rb")(?=\r\n[^ \t])"))

    return plant


def odd_traces_answered(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fast_path, "_NOT_LEFT_OUT", re.compile(rb"(?!)"))


def traces_not_read(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fast_path, "_trace_of", lambda _: None)


def heads_with_bodies_learned(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(protocol, "is_plain", lambda _: True)


def always_at_rest_after(method: str) -> Plant:
    """The fast path is asked after this, whatever is under way on the connection."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        original: Callable[..., None] = getattr(HttpConnection, method)

        def changed(self: HttpConnection, *args: object, **named: object) -> None:
            original(self, *args, **named)
            if self._fast_path is not None:
                self._at_rest = True

        patch.setattr(HttpConnection, method, changed)

    return plant


def key_of_the_request_before_kept(patch: pytest.MonkeyPatch) -> None:
    """Of a client that does not read, requests are learned under the key of the one before."""
    answer = HttpConnection._answer_fast

    def changed(self: HttpConnection, data: bytes) -> bool:
        before = self.fast_key
        is_answered = answer(self, data)
        if self.write_paused:
            self.fast_key = before
        return is_answered

    patch.setattr(HttpConnection, "_answer_fast", changed)


def key_kept_for_the_next_request(patch: pytest.MonkeyPatch) -> None:
    """A request that comes while another one is answered is learned under that one's key."""
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
