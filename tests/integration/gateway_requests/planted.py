"""Faults to plant in the gateway, each with a case that shows it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from aiohttp.web_request import BaseRequest

from sidecar.core.allow_list import AllowList
from sidecar.gateway import handler, headers, sender
from sidecar.gateway.call import GatewayCall
from sidecar.web.api.guards import Guards
from sidecar.web.server import request_feed
from tests.integration.gateway_requests.partner import TOKEN


@dataclass(frozen=True, slots=True)
class Fault:
    """What takes the place of a name, and the family and name of a case that shows it."""

    owner: object
    name: str
    broken: object
    family: str
    case: str


def _all_pass(fields: Iterable[tuple[str, str]], _ours: frozenset[str]) -> Iterator[tuple[str, str]]:
    return iter(list(fields))


def _dashes_alone(name: str) -> str:
    return name.lower()


def _as_asked(request: BaseRequest) -> bool:
    return not request.keep_alive


PLANTED: Mapping[str, Fault] = {
    "every path passes": Fault(
        AllowList, "allows", lambda *_: True, "targets", "forbidden: b'/payments/../auth/token'"
    ),
    "authentication passes": Fault(
        AllowList, "authenticates", lambda *_: False, "targets", "forbidden: b'/auth%20/token'"
    ),
    "every header passes": Fault(sender, "for_partner", _all_pass, "headers", "does not pass: b'TE: trailers'"),
    "underscores make another header": Fault(
        headers, "as_read", _dashes_alone, "headers", "does not pass: b'X_SIGNATURE: app'"
    ),
    "method and path can be overridden": Fault(
        headers, "_OVERRIDES", (), "headers", "does not pass: b'X-Original-URL: /api/pay1st/auth/token'"
    ),
    "names keep their spelling": Fault(sender, "spelled_alike", iter, "headers", "pass twice"),
    "nominated headers pass": Fault(headers, "_nominated", lambda _: frozenset(), "headers", "nominated: b'x-app'"),
    "any transfer coding is taken off": Fault(handler, "_check_framing", lambda _: None, "framing", "gzip, chunked"),
    "a chunked request is not the last": Fault(
        request_feed, "ends_connection", _as_asked, "framing", "trailer: 'AccessToken: Bearer app'"
    ),
    "the body is not sent": Fault(sender, "payload_of", lambda _: None, "framing", "one length"),
    "the guards accept all": Fault(Guards, "check", lambda *_: None, "headers", "no required header"),
    "a response shows the token": Fault(
        GatewayCall,
        "marks",
        lambda *_, **__: {"Sidecar-Answer": "partner", "Sidecar-Attempts": "1", "X": TOKEN},
        "framing",
        "one length",
    ),
}
