"""Faults to plant in the product, each with a conversation that shows it: every family of the corpus can fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp.web_request import BaseRequest

from sidecar.core.process_events import MalformedRequest
from sidecar.web.api import guards
from sidecar.web.server import protocol, request_feed, request_handler, request_parser
from tests.integration.raw_requests.conversation import CANARY


@dataclass(frozen=True, slots=True)
class Fault:
    """What takes the place of a name, and a conversation that shows it over TCP."""

    owner: object
    name: str
    broken: object
    family: str
    conversation: str


def _asks_to_end(request: BaseRequest) -> bool:
    return not request.keep_alive


PLANTED: Mapping[str, Fault] = {
    "a chunked request is not the last": Fault(
        request_feed,
        "ends_connection",
        _asks_to_end,
        "trailers",
        "required header, report, before a later segment",
    ),
    "an upgrade is not the last": Fault(
        request_feed,
        "ends_connection",
        _asks_to_end,
        "upgrades",
        "h2c, GET, requests in a later segment",
    ),
    "the end of what is sent ends all": Fault(
        protocol.HttpConnection, "eof_received", lambda _: None, "half-closed", "token"
    ),
    "halves of requests are forgotten": Fault(
        protocol, "is_whole_head", lambda *_: True, "half-sent", "in a header's value"
    ),
    "the target's authority is not looked at": Fault(
        guards, "authority_of", lambda _: "", "absolute form", "foreign, between known requests"
    ),
    "the request line is not looked at": Fault(
        request_feed, "check_request_line", lambda _: None, "other protocols", "HTTP/2.0"
    ),
    "empty lines are not passed over": Fault(
        request_parser, "_cut_empty_lines", lambda _: 0, "empty lines", "2 before"
    ),
    "the required header is not looked at": Fault(
        guards.Guards, "_check_header", lambda *_: None, "pipelining", "no required header between"
    ),
    "a response shows what was sent": Fault(
        request_handler, "UNREADABLE", CANARY.decode(), "other protocols", "HTTP/1.2"
    ),
    "the log shows what was sent": Fault(
        request_handler,
        "MalformedRequest",
        lambda **_: MalformedRequest(status=400, cause=CANARY.decode()),
        "other protocols",
        "HTTP/1.2",
    ),
}
