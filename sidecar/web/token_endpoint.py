"""`GET /v1/token`: the token as JSON or plain text, conditional and long-polled."""

from __future__ import annotations

from typing import ClassVar, cast

import msgspec
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response

from sidecar.core.iso8601 import iso
from sidecar.core.model import Instant, Seconds
from sidecar.core.request_events import Endpoint
from sidecar.vending.vendor import Vended, Vendor
from sidecar.web.answers import JSON, TEXT, Answered, answer
from sidecar.web.connection import Connection
from sidecar.web.guards import Proof
from sidecar.web.negotiation import none_match, prefers_text, seconds_of
from sidecar.web.target import path_and_query

MAX_WAIT_S: Seconds = 60
SUSPECT = {"Token-Suspect": "true"}


class TokenEndpoint:
    """Vends one profile's token."""

    endpoint: ClassVar[Endpoint] = "token"
    methods: ClassVar[tuple[str, ...]] = ("GET", "HEAD")
    proof: ClassVar[Proof] = Proof.HEADER
    # And so no `vars`, which would show the answer.
    __slots__ = ("_bytes", "_made_of", "_vendor", "profile")

    def __init__(self, vendor: Vendor) -> None:
        self._vendor = vendor
        self.profile = vendor.profile.name
        # The bytes of the latest answer and what they were made of: within one second every caller gets the same.
        self._made_of: tuple[str, bool, int, Instant] | None = None
        self._bytes = b""

    async def __call__(self, request: BaseRequest) -> Answered:
        min_ttl_s, wait_s = seconds_of(path_and_query(request)[1], "min_ttl", "wait")
        vended = await believed(self._vendor, min_ttl_s)
        known = request.headers.getall("If-None-Match", [])
        if known and none_match(known, vended.token.token_id):
            if not wait_s or not await self._changed(request, vended, min(wait_s, MAX_WAIT_S)):
                return Answered("not-modified", answer(304, headers=_headers(vended)))
            vended = await believed(self._vendor, min_ttl_s)
        if prefers_text(tuple(request.headers.getall("Accept", ()))):
            body, content_type = vended.token.access.reveal().encode(), TEXT
        else:
            body, content_type = self._json(vended), JSON
        response = answer(200, body, content_type=content_type, headers=_headers(vended))
        # HEAD gets the headers alone, and so no token.
        return Answered("ok", response) if request.method == "HEAD" else handed_over(vended, response)

    async def _changed(self, request: BaseRequest, vended: Vended, wait_s: Seconds) -> bool:
        """As `Vendor.changed`; also False where the connection has to give way."""
        try:
            async with cast("Connection", request.protocol).polling():
                return await self._vendor.changed(vended.token.token_id, wait_s)
        except TimeoutError:
            return False

    def _json(self, vended: Vended) -> bytes:
        made_of = (vended.token.token_id, vended.suspect, vended.expires_in_s, vended.issued_at)
        if made_of != self._made_of:
            self._bytes = msgspec.json.encode(_document(self.profile, vended))
            self._made_of = made_of
        return self._bytes


async def believed(vendor: Vendor, min_ttl_s: Seconds = 0) -> Vended:
    """The token from process memory where it will do; else whatever `Vendor.vend` makes of it, its errors included."""
    vended = vendor.current()
    if vended is not None and vended.expires_in_s >= min_ttl_s:
        return vended
    return await vendor.vend(min_ttl_s)


def handed_over(vended: Vended, response: Response, profile: str = "") -> Answered:
    """An answer with this token in it."""
    return Answered("ok", response, profile, vended.token.token_id, "suspect" if vended.suspect else "ok", vended)


def _headers(vended: Vended) -> dict[str, str]:
    tag = {"ETag": f'"{vended.token.token_id}"'}
    return tag | SUSPECT if vended.suspect else tag


def _document(profile: str, vended: Vended) -> dict[str, object]:
    token = vended.token
    document: dict[str, object] = {
        "profile": profile,
        "role": token.role,
        "tokenType": "Bearer",
        "accessToken": token.access.reveal(),
        "tokenId": token.token_id,
        "issuedAt": iso(vended.issued_at),
        "expiresAt": iso(vended.expires_at),
        "expiresIn": vended.expires_in_s,
        "lifetime": token.lifetime,
    }
    if vended.suspect:
        document["suspect"] = True
    return document
