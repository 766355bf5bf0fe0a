"""A conversation: the segments that a client sends, when it waits or closes, and the responses it must get."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import chain
from typing import Literal, TypeAlias

from aiohttp import http_parser

ListenerKind: TypeAlias = Literal["tcp", "unix", "admin"]
"""The vending listener over TCP, the vending listener over a unix socket, and the admin listener over TCP."""
LISTENERS: tuple[ListenerKind, ...] = ("tcp", "unix", "admin")

CANARY = b"CANARY"
"""Marks what a client sent. No response and no log line may hold it, in any case of its letters."""
CLOSES = " close"
"""The end of a response's text where that response ends the connection."""

_C_PARSER = http_parser.HttpRequestParser is not http_parser.HttpRequestParserPy


@dataclass(frozen=True, slots=True)
class Expected:
    """The expected response to one request, as `responses.describe` writes it, at each listener."""

    tcp: str
    unix: str
    admin: str

    def at(self, listener: ListenerKind) -> str:
        return {"tcp": self.tcp, "unix": self.unix, "admin": self.admin}[listener]

    def as_last(self) -> Expected:
        """The same response where it ends its connection."""
        return Expected(self.tcp + CLOSES, self.unix + CLOSES, self.admin + CLOSES)


def expect(vending: str, admin: str, *, unix: str = "") -> Expected:
    """`unix` is given only where the unix socket answers differently from TCP."""
    return Expected(vending, unix or vending, admin)


def expect_everywhere(text: str) -> tuple[Expected, ...]:
    """One response, the same at each listener."""
    return (Expected(text, text, text),)


def by_parser(*, c: Expected, python: Expected) -> Expected:
    """Return the response of the parser in use, for what one of aiohttp's two parsers refuses."""
    return c if _C_PARSER else python


@dataclass(frozen=True, slots=True)
class Segment:
    """Bytes that are sent at once. `expected` are those to the requests that end in it, in order."""

    data: bytes
    expected: tuple[Expected, ...] = ()

    def __add__(self, other: Segment) -> Segment:
        return Segment(self.data + other.data, self.expected + other.expected)

    def __mul__(self, count: int) -> Segment:
        return Segment(self.data * count, self.expected * count)

    def with_line(self, *lines: bytes) -> Segment:
        """The same request with further header lines at the end of its head; its response stays."""
        head, end, body = self.data.partition(b"\r\n\r\n")
        return Segment(b"\r\n".join([head, *lines]) + end + body, self.expected)

    def expecting(self, *expected: Expected) -> Segment:
        """The same bytes with other responses."""
        return Segment(self.data, expected)

    def cut(self, at: int) -> tuple[Segment, Segment]:
        """The same bytes in two segments."""
        return Segment(self.data[:at]), Segment(self.data[at:], self.expected)


class Action(Enum):
    """What a client does between two segments."""

    READ = auto()
    """It reads until everything sent so far is answered."""
    HALF_CLOSE = auto()
    """It closes its writing side at once with the segment before, and reads on."""
    CLOSE = auto()
    """It closes the connection without reading."""
    RESET = auto()
    """It resets the connection without reading."""


Step: TypeAlias = Segment | Action
READ, HALF_CLOSE, CLOSE, RESET = Action.READ, Action.HALF_CLOSE, Action.CLOSE, Action.RESET
_LEAVES = (CLOSE, RESET)


@dataclass(frozen=True, slots=True)
class Conversation:
    """`plays`: how often it is played with the fast path on, which answers a request from the third time on.

    Once is enough where the fast path can answer only `KNOWN`, which it knows before each conversation.
    """

    steps: tuple[Step, ...]
    plays: int = 3

    @classmethod
    def of(cls, *steps: Step, plays: int = 3) -> Conversation:
        return cls(steps, plays)

    @property
    def leaves(self) -> bool:
        """Whether the client leaves without reading to the end."""
        return any(step in _LEAVES for step in self.steps)

    @property
    def data(self) -> bytes:
        """All that the client sends."""
        return b"".join(step.data for step in self.steps if isinstance(step, Segment))

    def expected(self, listener: ListenerKind) -> list[str]:
        """The responses up to the one that ends the connection; none to a client that leaves."""
        return expected_of(() if self.leaves else self.steps, listener)

    def steps_at(self, listener: ListenerKind) -> tuple[Step, ...]:
        """The steps with the paths of that listener."""
        if listener != "admin":
            return self.steps
        left = _admin_paths(self.data)
        steps: list[Step] = []
        for step in self.steps:
            if isinstance(step, Segment):
                part, left = left[: len(step.data)], left[len(step.data) :]
                steps.append(Segment(part, step.expected))
            else:
                steps.append(step)
        return tuple(steps)


Family: TypeAlias = Mapping[str, Sequence[Conversation]]
"""Conversations by name. Those of one name differ only in the place where something is cut."""


def family(*parts: Iterable[tuple[str, Conversation]]) -> Family:
    """Collect the conversations of each name."""
    found: dict[str, list[Conversation]] = {}
    for name, conversation in chain(*parts):
        found.setdefault(name, []).append(conversation)
    return found


def expected_of(steps: Iterable[Step], listener: ListenerKind) -> list[str]:
    """The responses to these steps, up to the one that ends the connection."""
    texts: list[str] = []
    for step in steps:
        for one in step.expected if isinstance(step, Segment) else ():
            texts.append(one.at(listener))
            if texts[-1].endswith(CLOSES):
                return texts
    return texts


def _admin_paths(data: bytes) -> bytes:
    """The same requests to the admin listener: the token's paths become those of the readiness, of the same lengths.

    `/v1/token` becomes `/startupz`, `/v1/token/P` becomes `/readyz/P?-`.
    """
    data = re.sub(rb"/v1/token/(\w+)", rb"/readyz/\1?-", data)
    return data.replace(b"/v1/token", b"/startupz")
