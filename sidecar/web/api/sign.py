"""`POST /v1/sign`: the headers that a request with this body needs at the partner."""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import parse_qsl

from sidecar.core.partner_table import TokenHeader
from sidecar.core.process_events import Endpoint, Outcome
from sidecar.core.timestamps import iso, iso_ms
from sidecar.vending.api import TokenProvider
from sidecar.vending.signer import Signer
from sidecar.web.api.guards import RequiredAuth
from sidecar.web.api.request_reading import BodyMemory, path_and_query, prefers_text, read_bytes
from sidecar.web.api.token import SUSPECT, current_or_wait
from sidecar.web.responses import TEXT, EndpointResult, RequestError, json_response, make_response
from sidecar.web.server.request_handler import HttpRequest

TOTAL_BYTES = 16 * 1024 * 1024
"""Of the bodies that are signed at the same time; leaves most of the manifests' 128 MiB for everything else."""


class SignEndpoint:
    """Signs the exact bytes of the body, and gives the token that belongs to the signature."""

    endpoint: ClassVar[Endpoint] = "sign"
    methods: ClassVar[tuple[str, ...]] = ("POST",)
    auth: ClassVar[RequiredAuth] = RequiredAuth.HEADER

    def __init__(
        self, provider: TokenProvider, signer: Signer | None, token_header: TokenHeader, memory: BodyMemory
    ) -> None:
        self._provider = provider
        self._signer = signer
        self._token_header = token_header
        self._memory = memory
        self.profile = provider.profile.name

    async def __call__(self, request: HttpRequest) -> EndpointResult:
        wants_token = _wants_token(path_and_query(request)[1])
        signer = self._signer
        if signer is None or not signer.has_key:
            # Before the body, which would be read in vain.
            raise _no_key()
        # A request that waits for a token holds no body.
        await current_or_wait(self._provider)
        with self._memory.reserved(request):
            body = await read_bytes(request, self._memory.max_bytes)
            # Again, as reading may take seconds. There is no pause from here until the key and the time are read.
            vended = await current_or_wait(self._provider)
            signed = await signer.sign(body)
        if signed is None:
            raise _no_key()
        token = vended.token
        headers = {self._token_header.name: self._token_header.value(token.access)} if wants_token else {}
        headers |= signed.headers
        marked = {**(SUSPECT if vended.suspect else {}), **(self._token_header.naming if wants_token else {})}
        if prefers_text(tuple(request.headers.getall("Accept", ()))):
            lines = "".join(f"{name}: {value}\n" for name, value in headers.items())
            response = make_response(200, lines.encode(), content_type=TEXT, headers=marked)
        else:
            document: dict[str, object] = {
                "headers": headers,
                "tokenId": token.token_id,
                "expiresAt": iso(vended.expires_at),
                "signedAt": iso_ms(signed.at),
            }
            if vended.suspect:
                document["suspect"] = True
            response = json_response(200, document, headers=marked)
        outcome: Outcome = "suspect" if vended.suspect else "ok"
        return EndpointResult(code="ok", response=response, token_id=token.token_id, outcome=outcome)


def _wants_token(query: str) -> bool:
    """Raises `RequestError` for any query but `token=no` and `token=yes`."""
    if not query:
        return True
    given = parse_qsl(query, keep_blank_values=True)
    if given not in ([("token", "no")], [("token", "yes")]):
        raise RequestError("bad-request", "Allowed in the query: token=no, which leaves the token out.")
    return given == [("token", "yes")]


def _no_key() -> RequestError:
    return RequestError(
        "signing-not-configured",
        "This profile has no signing key. Put it into the file 'signing-key' in SIDECAR_CREDENTIALS_DIR.",
    )
