"""`GET /v1/authorize`: the header the partner expects, for a proxy that copies it onto the request it forwards."""

from __future__ import annotations

from typing import ClassVar

from aiohttp.web_request import BaseRequest

from sidecar.core.request_events import Endpoint
from sidecar.vending.vendor import Vendor
from sidecar.web.answers import Answered, answer
from sidecar.web.guards import Proof
from sidecar.web.negotiation import seconds_of
from sidecar.web.token_endpoint import SUSPECT, believed, handed_over


class AuthorizeEndpoint:
    """Answers 204 with the token in `token_header`."""

    endpoint: ClassVar[Endpoint] = "authorize"
    methods: ClassVar[tuple[str, ...]] = ("GET", "HEAD")
    proof: ClassVar[Proof] = Proof.HEADER

    def __init__(self, vendor: Vendor, token_header: str) -> None:
        self._vendor = vendor
        self._token_header = token_header
        self.profile = vendor.profile.name

    async def __call__(self, request: BaseRequest) -> Answered:
        (min_ttl_s,) = seconds_of(request.raw_path.partition("?")[2], "min_ttl")
        vended = await believed(self._vendor, min_ttl_s)
        headers = {self._token_header: f"Bearer {vended.token.access.reveal()}"}
        return handed_over(vended, answer(204, headers=headers | SUSPECT if vended.suspect else headers))
