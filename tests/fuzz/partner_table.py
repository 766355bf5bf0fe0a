"""Tables of partners: a table or every problem at once; with a table every request can be made and every answer read.

An input is a table as JSON, and after a line `---` an answer in the form of `partner_answer`. The canary is the API
secret of each request. In the table it counts as a secret where the vocabulary hides constants.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl

from aiohttp import web
from multidict import CIMultiDict

from sidecar.config.partners import read_partners
from sidecar.config.settings import Diagnostics
from sidecar.core.allow_list import read_rule
from sidecar.core.errors import PartnerError
from sidecar.core.model import Credentials, PartnerToken, Secret
from sidecar.core.partner_table import PartnerTable
from sidecar.core.partner_vocabulary import KEYS, PartnerTableError, read_table
from sidecar.core.table_values import SECRET_NAME
from sidecar.partner.lifetime import MAX_LIFETIME_S
from sidecar.partner.presets import PRESETS
from sidecar.partner.response import PartnerResponse, at, read_document, read_response
from sidecar.partner.token_request import TokenRequest, grant_request, refresh_request, shown_requests
from sidecar.sandbox.account import Issued
from sidecar.sandbox.responses import token_response
from tests.fuzz.findings import CANARY, hold, hold_secret, planted
from tests.fuzz.partner_answer import NOW_AT, ROLE, response_of

WORDS = (
    *(f'"{key}":'.encode() for key in KEYS),
    b'{"token_path":"/t"', b'"header"', b'"body"', b'"form"', b'"X-Api-Key":"\xfe"', b'"password":"\xfe"', b"true",
    b'"grant_type":"client_credentials"', b'{"parts":["timestamp","body"]', b"\n---\n", b"200\n\n", b"201\n\n",
    b"401\n\n",
    b'{"data":{"token":"', b'"expires_in":', b'"error":"invalid_client"', b'"token_type":"', b"\\ud800", b"1e999",
)  # fmt: skip
_CREDENTIALS = Credentials(api_key=Secret("key-of-the-fuzzer"), api_secret=Secret(CANARY))
_REFRESH_TOKEN = Secret("refresh-" + CANARY)
_HIDING = ("fields", "headers", "refresh_fields", "refresh_headers")


def check(data: bytes) -> None:
    """Read one table, make its requests, and read one answer under it."""
    before, _, answer = planted(data).partition(b"\n---\n")
    document = _document(before)
    if document is None:
        return
    is_secret = _is_secret(document)
    try:
        table = read_table("acme", document)
    except PartnerTableError as error:
        _hold_problems(error, document, silent=is_secret)
        return
    if is_secret:
        hold_secret(CANARY, repr(table))
    for request in _requests(table):
        _hold_request(request, table)
        if is_secret:
            hold_secret(CANARY, repr(request))
    for shown in shown_requests(table, ROLE):
        if is_secret:
            hold_secret(CANARY, f"{shown.headers} {shown.body!r}")
    _hold_sandbox(table)
    _hold_answer(table, response_of(answer))


def _document(text: bytes) -> dict[str, object] | None:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _is_secret(document: Mapping[str, object]) -> bool:
    """Whether the canary is in no other place of the table than those that the vocabulary hides."""
    rest = dict(document)
    for key in _HIDING:
        if isinstance(constants := rest.get(key), dict):
            rest[key] = {name: value for name, value in constants.items() if not _is_hidden(name, value)}
    if isinstance(vector := rest.get("sign_test"), dict):
        rest["sign_test"] = {name: value for name, value in vector.items() if name != "key"}
    return CANARY not in json.dumps(rest)


def _is_hidden(name: str, value: object) -> bool:
    return SECRET_NAME.search(name) is not None and CANARY not in name and isinstance(value, str)


def _hold_problems(error: PartnerTableError, document: Mapping[str, object], *, silent: bool) -> None:
    hold(true=bool(error.problems), what="refused without a problem")
    diagnostics = Diagnostics()
    read_partners({"acme": document}, "sidecar.toml", PRESETS, diagnostics)
    hold(true=len(diagnostics.problems) >= 1, what="a table's problems are not those of the settings")
    for line in (*error.problems, *diagnostics.problems):
        hold(true=line.isprintable() and len(line) < 1000, what="a problem is no line")
    if silent:
        hold_secret(CANARY, *error.problems, str(error), repr(error))


def _requests(table: PartnerTable) -> Iterator[TokenRequest]:
    yield grant_request(table, _CREDENTIALS, ROLE, None)
    if table.refresh_path:
        yield refresh_request(table, _REFRESH_TOKEN, _CREDENTIALS, ROLE, None)


def _hold_request(request: TokenRequest, table: PartnerTable) -> None:
    hold(true=all(value.isprintable() and value.isascii() for value in request.headers.values()), what="an odd header")
    hold(true=len({name.lower() for name in request.headers}) == len(request.headers), what="a header is sent twice")
    if table.request == "json":
        hold(true=isinstance(json.loads(request.body), dict), what="a body is no object")
    else:
        names = [name for name, _ in parse_qsl(request.body.decode(), keep_blank_values=True)]
        hold(true=len(set(names)) == len(names), what="a field is sent twice")


def _hold_sandbox(table: PartnerTable) -> None:
    """Check that the sandbox can play the table, and that its tokens are read where the table says."""
    routes = web.UrlDispatcher()
    for path in {path for path in (*table.authentication_paths, table.probe_path) if path}:
        routes.add_resource(path)
    for rule in table.gateway_allow:
        read_rule(rule)
    issued = Issued("access-of-the-sandbox", "refresh-of-the-sandbox")
    sent = token_response(table, issued, ROLE, 60 if table.expires_field else None)
    body = sent.body if isinstance(sent.body, bytes) else b""
    token = read_response(PartnerResponse(sent.status, CIMultiDict(), body), table, ROLE, NOW_AT)
    hold(true=token.access.reveal() == issued.access, what="the token is not read where it was written")
    hold(true=(token.refresh is not None) == bool(table.refresh_field), what="a refresh token is lost")
    hold(true=token.lifetime_s == (60 if table.expires_field else None), what="a lifetime is lost")


def _hold_answer(table: PartnerTable, response: PartnerResponse) -> None:
    secrets = grant_request(table, _CREDENTIALS, ROLE, None).secrets
    try:
        token = read_response(response, table, ROLE, NOW_AT, secrets)
    except PartnerError as error:
        detail = error.detail
        if detail is None:
            raise AssertionError("a failure with a response has no detail") from None
        texts = (detail.error_code, detail.error_message, detail.session_id)
        hold(true=all(text.isprintable() for text in texts), what="an odd text")
        hold_secret(CANARY, *texts, str(error), repr(error))
    else:
        _hold_token(token, table, response)


def _hold_token(token: PartnerToken, table: PartnerTable, response: PartnerResponse) -> None:
    hold(true=response.status == table.success_status, what=f"a token came of status {response.status}")
    document = read_document(response.body)
    if not isinstance(document, Mapping):
        raise AssertionError("a token came of a body that is no object")  # noqa: TRY004 - a finding
    hold(true=at(document, table.access_field) == token.access.reveal(), what="the token is not the one in its field")
    kind = document.get("token_type", "Bearer")
    hold(true=not table.oauth2 or str(kind).lower() == "bearer", what="a token of another type was taken")
    life_s = token.lifetime_s
    hold(true=life_s is None or 0 < life_s <= MAX_LIFETIME_S, what=f"a lifetime is {life_s}")
    hold(true="Secret(***)" in repr(token), what="a token is in its repr")
