"""Each bug that is planted in the fast path is found by the comparison with the long way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from sidecar.core.model import Secret, token_id_of
from tests.fast_path import planted
from tests.fast_path.configurations import CALLER_TOKENS, CONFIGURATIONS
from tests.fast_path.listener_pair import DifferenceError
from tests.fast_path.planted import NAMES, Plant
from tests.fast_path.requests import SPAN, TRACE, TRACEPARENTS, USUAL, request, with_line
from tests.fast_path.steps import (
    ChangeToken,
    Drain,
    EndWaits,
    IssueToken,
    Reconnect,
    Repeat,
    RotateCallerTokens,
    Send,
    SendAtOnce,
    SetWallClock,
    Step,
    StopReading,
    Wait,
    run_steps,
)

PLAIN = request(b"/v1/token", *USUAL)
AUTHORIZE = request(b"/v1/authorize", *USUAL)
CLOSING = request(b"/v1/token", *USUAL, b"Connection: close")
LONG_POLL = request(b"/v1/token?wait=30", *USUAL, b"If-None-Match: *")
AUTHENTICATED = request(b"/v1/token", *USUAL, b"Authorization: Bearer " + CALLER_TOKENS[0].encode())
PROXIED = request(b"/v1/authorize", b"Host: app.example")
NEXT_TOKEN = token_id_of(Secret("default-token-1")).encode()
CONDITIONAL = request(b"/v1/token", *USUAL, b'If-None-Match: "' + NEXT_TOKEN + b'"')
ODD_TRACE = with_line(PLAIN, b"traceparent:00-" + TRACE + b"-" + SPAN + b"-01", 0)
WAITED_FOR: Sequence[Step] = (
    ChangeToken("delay"), Send(0, (AUTHENTICATED,)), RotateCallerTokens(CALLER_TOKENS[1:]), EndWaits(),
)  # fmt: skip
"""A request passes the guards, waits for a token, and is answered when it would no longer pass them."""
TOGETHER: Step = SendAtOnce(((0, PLAIN), (0, AUTHORIZE)))
KNOWN: Step = Repeat(0, PLAIN, 4)


@dataclass(frozen=True)
class Planted:
    """Where and how a bug is planted, and the steps that show it."""

    configuration: str
    plant: Plant
    steps: Sequence[Step]


PLANTED = {
    "the version of the caller tokens is not compared": Planted(
        "caller tokens",
        planted.caller_tokens_ignored,
        [Repeat(0, AUTHENTICATED, 4), RotateCallerTokens(CALLER_TOKENS[1:]), Repeat(0, AUTHENTICATED, 1)],
    ),
    "the caller tokens after a wait are taken for those that let the request pass": Planted(
        "caller tokens",
        planted.stored_under_the_latest_caller_tokens,
        [*WAITED_FOR, RotateCallerTokens(CALLER_TOKENS), *WAITED_FOR, Repeat(0, AUTHENTICATED, 1)],
    ),
    "the user id is left out of the key": Planted(
        "allowed uids", planted.peer_key(lambda key: key.rstrip(b"0123456789 ")), [KNOWN, Repeat(1, PLAIN, 1)]
    ),
    "the transport is left out of the key": Planted(
        "forward auth by transport", planted.peer_key(lambda _: b""), [Repeat(0, PROXIED, 4), Repeat(1, PROXIED, 1)]
    ),
    "the local address is left out of the key": Planted(
        "plain",
        planted.peer_key(lambda key: key.split(b" ")[0]),
        [Repeat(client, request(b"/v1/token", b"Host: 10.0.0.5", USUAL[1]), 3) for client in (2, 0)],
    ),
    "a request with a condition is stored": Planted(
        "plain",
        planted.stored_as(planted.without_condition),
        [Repeat(0, CONDITIONAL, 4), IssueToken(1), Repeat(0, CONDITIONAL, 1)],
    ),
    "a request with a query is stored": Planted(
        "plain",
        planted.stored_as(planted.without_query),
        [
            Repeat(0, request(b"/v1/token?min_ttl=890", *USUAL), 4),
            Wait(20),
            Repeat(0, request(b"/v1/token?min_ttl=890", *USUAL), 1),
        ],
    ),
    "a head whose body follows is stored": Planted(
        "plain",
        planted.heads_with_bodies_stored,
        [Repeat(0, request(b"/v1/authorize", *USUAL, b"Content-Length: 4"), 1), Reconnect(0)] * 4,
    ),
    "the age of the token is not looked at": Planted(
        "plain",
        planted.responses_good_for_ever,
        # The second of the wall clock changes before the token's remaining lifetime does.
        [KNOWN, Wait(0.59375), Repeat(0, PLAIN, 1), Wait(0.0625), Repeat(0, PLAIN, 1)],
    ),
    "the wall clock is not looked at": Planted(
        "plain", planted.wall_clock_of_the_start, [KNOWN, SetWallClock(86_400), Repeat(0, PLAIN, 1)]
    ),
    "the token is not looked at": Planted(
        "plain", planted.tokens_held_for_ever, [KNOWN, IssueToken(1), Repeat(0, PLAIN, 1)]
    ),
    "a suspect token is answered as a good one": Planted(
        "plain", planted.tokens_held_for_ever, [KNOWN, ChangeToken("mark_suspect"), Repeat(0, PLAIN, 1)]
    ),
    "a token is answered when there is none": Planted(
        "plain", planted.tokens_held_for_ever, [KNOWN, ChangeToken("withdraw"), Repeat(0, PLAIN, 1)]
    ),
    **{
        f"{line.partition(b':')[0].decode()} makes no difference": Planted(
            "plain",
            planted.dropped(rb"(?:" + NAMES + rb"|" + line.partition(b":")[0] + rb"): [!-~]+"),
            [KNOWN, Repeat(0, with_line(PLAIN, line, 0), 1)],
        )
        for line in (
            b"Via: x",
            b"Origin: x",
            b"Host: evil.test",
            b"X-Forwarded-For: x",
            b"Sec-Fetch-Site: x",
            b"Accept: text/plain",
            b"Connection: close",
            b"If-None-Match: *",
            b"Content-Length: 4",
            b"Sidecar-Request: no",
        )
    },
    "two client programs make no difference": Planted(
        "plain",
        planted.dropped(rb"user-agent: [ -~]+"),
        [KNOWN, Repeat(0, with_line(with_line(PLAIN, b"User-Agent: a", 0), b"User-Agent: b", 1), 1)],
    ),
    "a line that is continued makes no difference": Planted(
        "plain",
        planted.dropped(rb"x-request-id: [!-~]+(?:\r\n[ \t][!-~]+)*+"),
        [KNOWN, Repeat(0, with_line(PLAIN, b"X-Request-Id: 1\r\n 2", 0), 1)],
    ),
    "a line with a control character makes no difference": Planted(
        "plain",
        planted.dropped(rb"x-request-id: [^\r\n]+"),
        [KNOWN, Repeat(0, with_line(PLAIN, b"X-Request-Id: \x01", 0), 1)],
    ),
    "a trace in another form is answered": Planted("spans", planted.odd_traces_answered, [Repeat(0, ODD_TRACE, 4)]),
    "a trace in another form is answered and audited": Planted(
        "audit and spans", planted.odd_traces_answered, [Repeat(0, ODD_TRACE, 4)]
    ),
    "at rest while a request is under way": Planted(
        "plain", planted.always_at_rest_after("_leave_rest"), [KNOWN, Send(0, (LONG_POLL, PLAIN))]
    ),
    "at rest while bytes are held": Planted(
        "plain", planted.always_at_rest_after("finish"), [KNOWN, Send(0, (PLAIN + b"GET /v1", PLAIN))]
    ),
    "at rest before a body": Planted(
        "plain",
        planted.always_at_rest_after("finish"),
        [KNOWN, Send(0, (request(b"/v1/token", *USUAL, b"Content-Length: %d" % len(PLAIN)), PLAIN, PLAIN))],
    ),
    "a request is stored under the key of the one before": Planted(
        "plain",
        planted.key_of_the_request_before_kept,
        [Repeat(0, PLAIN, 4), StopReading(0), Send(0, (request(b"/v1/token/other", *USUAL),)), Repeat(1, PLAIN, 1)],
    ),
    "a request is stored under the key of the one that is being answered": Planted(
        "plain",
        planted.key_kept_for_the_next_request,
        [TOGETHER, Reconnect(0), TOGETHER, Reconnect(0), Repeat(0, PLAIN, 1)],
    ),
    "responses are not audited": Planted("audit", planted.fast_path_without("audit"), [KNOWN]),
    "responses are not traced": Planted(
        "spans", planted.fast_path_without("spans"), [Repeat(0, with_line(PLAIN, TRACEPARENTS[0], 0), 4)]
    ),
    "responses are audited without their traces": Planted(
        "audit and spans", planted.traces_not_read, [Repeat(0, with_line(PLAIN, TRACEPARENTS[0], 0), 4)]
    ),
    "responses are not counted": Planted("plain", planted.responses_not_counted, [KNOWN]),
    "the end of the connection is ignored": Planted(
        "plain", planted.stored_with(closes=False), [Repeat(0, CLOSING, 4)]
    ),
    "the drain is ignored": Planted("plain", planted.drain_ignored, [KNOWN, Drain(), Repeat(0, PLAIN, 1)]),
}


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = PLANTED[bug]
    configuration = CONFIGURATIONS[made.configuration]
    run_steps(configuration, made.steps)
    made.plant(monkeypatch)
    with pytest.raises(DifferenceError):
        run_steps(configuration, made.steps)
