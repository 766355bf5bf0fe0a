"""What must hold in every conversation, whatever is sent."""

from __future__ import annotations

from tests.integration.raw_requests.common_requests import KNOWN
from tests.integration.raw_requests.conversation import CANARY, READ, Conversation, ListenerKind
from tests.integration.raw_requests.player import play
from tests.integration.raw_requests.responses import describe, undated
from tests.integration.raw_requests.services import RunningService, Services

_ASKED_TWICE = Conversation.of(KNOWN, READ, KNOWN)


def check(services: Services, conversation: Conversation, listener: ListenerKind) -> None:
    """Play it with the fast path off, then on; at a vending listener until the fast path knows its requests.

    Where the unix socket answers differently from TCP, the conversation is played there before: what the fast path
    knows from there must not be answered over TCP.
    """
    off = _play_once(services, services.off, conversation, listener)
    play(services.on, _ASKED_TWICE, "tcp")
    for _ in range(1 if listener == "admin" else conversation.plays):
        if listener == "tcp" and conversation.expected("tcp") != conversation.expected("unix"):
            play(services.on, conversation, "unix")
        on = _play_once(services, services.on, conversation, listener)
        if listener != "admin":
            assert undated(on) == undated(off), "the fast path answers differently"


def _play_once(
    services: Services, running: RunningService, conversation: Conversation, listener: ListenerKind
) -> bytes:
    """Fail unless each request gets its own response, in order, and none shows what was sent. Return the responses."""
    played = play(running, conversation, listener)
    described = [describe(one, services.tokens, services.token_ids) for one in played.responses]
    expected = conversation.expected(listener)
    assert described == expected, f"{described} in place of {expected}"
    assert CANARY.lower() not in played.stream.lower(), "a response shows what was sent"
    assert not running.log.faults, running.log.faults
    return played.stream
