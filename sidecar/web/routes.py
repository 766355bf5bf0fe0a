"""Paths to endpoints, by their exact raw bytes: nothing is unquoted, nothing normalised, so no spelling slips past."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from aiohttp.web_request import BaseRequest

from sidecar.core.errors import UnknownProfileError
from sidecar.core.request_events import Endpoint
from sidecar.vending.vendor import Vendor
from sidecar.web.answers import Answered
from sidecar.web.authorize_endpoint import AuthorizeEndpoint
from sidecar.web.guards import Guards, Proof
from sidecar.web.oauth_endpoint import OAuthEndpoint
from sidecar.web.openapi import OpenApiEndpoint
from sidecar.web.problems import refused
from sidecar.web.refusals import RefusedError, missing_default
from sidecar.web.rejected_endpoint import RejectedEndpoint
from sidecar.web.token_endpoint import TokenEndpoint

_OF_A_PROFILE = re.compile(r"/v1/(?P<endpoint>token|authorize)(?:/(?P<profile>[^/]+?))??(?P<rejected>/rejected)?")


class Route(Protocol):
    """What stands behind one path. `endpoint` None: its requests are not counted."""

    @property
    def endpoint(self) -> Endpoint | None: ...
    @property
    def methods(self) -> tuple[str, ...]: ...
    @property
    def proof(self) -> Proof: ...
    @property
    def profile(self) -> str: ...

    async def __call__(self, request: BaseRequest) -> Answered: ...


@dataclass(frozen=True, slots=True)
class _Nowhere:
    """A path that leads nowhere; the guards and the method are looked at all the same."""

    error: RefusedError | UnknownProfileError
    endpoint: Endpoint | None = None
    methods: tuple[str, ...] = ()
    proof: Proof = Proof.HEADER
    profile: str = ""

    async def __call__(self, request: BaseRequest) -> Answered:  # noqa: ARG002 - the form of every endpoint
        # Not raised: each raise would add to the traceback of an error that lives as long as we do.
        return refused(self.error)


_NOT_FOUND = _Nowhere(RefusedError("not-found", "See /openapi.json for the paths there are."))


def build_routes(vendors: Mapping[str, Vendor], guards: Guards, token_headers: Mapping[str, str]) -> dict[str, Route]:
    """The table of every path that exists; a path without a profile name is the profile `default`."""
    routes: dict[str, Route] = {"/oauth/token": OAuthEndpoint(vendors, guards), "/openapi.json": OpenApiEndpoint()}
    for name, vendor in vendors.items():
        token, rejected = TokenEndpoint(vendor), RejectedEndpoint(vendor)
        authorize = AuthorizeEndpoint(vendor, token_headers[name])
        for suffix in (f"/{name}", "") if name == "default" else (f"/{name}",):
            routes[f"/v1/token{suffix}"] = token
            routes[f"/v1/token{suffix}/rejected"] = rejected
            routes[f"/v1/authorize{suffix}"] = authorize
    return routes


def nowhere(path: str, profiles: Iterable[str]) -> Route:
    """What stands behind a path that is not in the table; `profiles` are the names there are."""
    form = _OF_A_PROFILE.fullmatch(path)
    if form is None or (form["rejected"] and form["endpoint"] == "authorize"):
        return _NOT_FOUND
    endpoint: Endpoint = "rejected" if form["rejected"] else "authorize" if form["endpoint"] == "authorize" else "token"
    methods = RejectedEndpoint.methods if endpoint == "rejected" else TokenEndpoint.methods
    text = missing_default(profiles) if form["profile"] is None else "No profile has this name."
    return _Nowhere(UnknownProfileError(text), endpoint, methods)
