"""Forwards apps' requests to the partner, each at most once unless it was answered 401."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import aiohttp

from sidecar.config.settings import Replay
from sidecar.core.errors import AnswerError
from sidecar.core.model import MonotonicTime, Seconds
from sidecar.gateway.call import DISCONNECTED, GatewayCall
from sidecar.gateway.sender import READS, AppRequest, OutcomeUnknownError, PartnerUnreachableError, Sender
from sidecar.vending.api import TokenProvider, VendedToken
from sidecar.web.responses import RequestError

MAX_CALLS = 128
"""Calls of one profile that may be under way at the same time. One whose app reads slowly takes half a mebibyte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerAnswer:
    """`response` has its head; its body has to be read until `until`, by the event loop's clock.

    `replaced`: the token was refused with 401, and there is another one by now.
    """

    response: aiohttp.ClientResponse
    until: MonotonicTime
    replaced: bool = False


class Forwarder:
    """For one profile."""

    def __init__(self, provider: TokenProvider, sender: Sender, replay: Replay, timeout_s: Seconds) -> None:
        self._provider = provider
        self._sender = sender
        self._replay = replay
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._exchanges: set[asyncio.Task[PartnerAnswer]] = set()
        self._passing_on = 0
        self._ending: asyncio.Future[None] = self._loop.create_future()

    @property
    def calls(self) -> int:
        """How many calls are under way, those of apps that have left included."""
        return len(self._exchanges) + self._passing_on

    @contextmanager
    def passing_on(self) -> Iterator[None]:
        """Count a call whose response is passed on piece by piece."""
        self._passing_on += 1
        try:
            yield
        finally:
            self._passing_on -= 1

    def check_room(self) -> None:
        """Raise `RequestError` when `MAX_CALLS` are under way."""
        if self.calls >= MAX_CALLS:
            raise RequestError(
                "overloaded", f"{MAX_CALLS} calls to the partner are under way, and no more may be.", retry_after_s=1
            )

    async def forward(self, request: AppRequest, call: GatewayCall, on_sent: Callable[[], None]) -> PartnerAnswer:
        """Send the request and return the partner's response.

        Raises `PartnerUnreachableError`, `OutcomeUnknownError`, and without a token or a signature an `AnswerError` or
        `RequestError`. When the app leaves, a request that has not been sent is given up. One that was sent goes on to
        its response, so that its outcome is recorded. `on_sent` is called when the body is needed no more.
        Nothing is sent that had to wait for a token while its app closed its side: the app may have given up, and sent
        the same again.
        """
        if self._ending.done():
            on_sent()
            raise PartnerUnreachableError
        exchange = self._loop.create_task(self._exchange(request, call))
        self._exchanges.add(exchange)
        exchange.add_done_callback(self._exchanges.discard)
        exchange.add_done_callback(lambda _: on_sent())
        try:
            await asyncio.wait((exchange, self._ending), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            if not call.is_sent:
                exchange.cancel()
            exchange.add_done_callback(lambda done: _record_abandoned(done, call))
            raise
        if exchange.done() and not exchange.cancelled():
            return exchange.result()
        # The sidecar ends.
        raise OutcomeUnknownError("sidecar stopped") if call.is_sent else PartnerUnreachableError

    async def close(self, grace_s: Seconds) -> None:
        """Let the calls under way end, for at most `grace_s`. Then give their apps an error, and begin no more."""
        if self._exchanges:
            await asyncio.wait(self._exchanges, timeout=grace_s)
        if not self._ending.done():
            self._ending.set_result(None)
        left = tuple(self._exchanges)
        for exchange in left:
            exchange.cancel()
        if left:
            await asyncio.wait(left, timeout=grace_s)

    async def _exchange(self, request: AppRequest, call: GatewayCall) -> PartnerAnswer:
        self._sender.check_signing(request)
        refused = self._provider.current()
        if refused is None:
            refused = await self._provider.vend()
            if call.has_left():
                call.end(DISCONNECTED, complete=False)
                raise PartnerUnreachableError
        until = self._loop.time() + self._timeout_s
        response = await self._sender.send(request, call, refused, until)
        if response.status != 401:
            return PartnerAnswer(response=response, until=until)
        # The partner has answered: what is under way now changes nothing there.
        call.is_sent = False
        try:
            newer = await self._replacement(refused, until)
        except BaseException:
            response.close()
            raise
        if newer is None or not self._may_replay(request):
            return PartnerAnswer(response=response, until=until, replaced=newer is not None)
        response.close()
        return PartnerAnswer(response=await self._sender.send(request, call, newer, until), until=until)

    def _may_replay(self, request: AppRequest) -> bool:
        return self._replay is Replay.ALL or (self._replay is Replay.SAFE and request.method in READS)

    async def _replacement(self, refused: VendedToken, until: MonotonicTime) -> VendedToken | None:
        """Report the refused token, and return another one; None when there is none by `until`."""
        try:
            async with asyncio.timeout_at(until):
                await self._provider.report(refused.token.token_id)
                newer = self._provider.current() or await self._provider.vend()
        except (AnswerError, TimeoutError):
            return None
        return None if newer.token.token_id == refused.token.token_id else newer


def _record_abandoned(exchange: asyncio.Task[PartnerAnswer], call: GatewayCall) -> None:
    """Record the outcome of a call whose app has left. Raises an error that is none of a call."""
    try:
        response = exchange.result().response
    except asyncio.CancelledError:
        if call.is_sent:
            call.end("partner-outcome-unknown", complete=False, cause="sidecar stopped")
        else:
            call.end(DISCONNECTED, complete=False)
    except OutcomeUnknownError as error:
        call.end(error.code, complete=False, cause=error.cause)
    except (RequestError, AnswerError) as error:
        call.end(error.code, complete=False)
    else:
        call.end(f"{response.status // 100}xx", status=response.status, complete=False)
        response.close()
