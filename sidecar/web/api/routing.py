"""Routes paths to endpoints by their exact raw bytes: without unquoting or normalising, no spelling passes a check."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from sidecar.core.errors import UnknownProfileError
from sidecar.core.process_events import Endpoint
from sidecar.vending.api import TokenProvider
from sidecar.web.api.guards import Guards, RequiredAuth
from sidecar.web.api.oauth import OAuthEndpoint
from sidecar.web.api.openapi import OpenApiEndpoint
from sidecar.web.api.rejection import RejectedEndpoint
from sidecar.web.api.token import AuthorizeEndpoint, TokenEndpoint
from sidecar.web.responses import ANY_METHOD, EndpointResult, RequestError, error_result, missing_default
from sidecar.web.server.request_handler import HttpRequest

_OF_A_PROFILE = re.compile(r"/v1/(?P<endpoint>token|authorize)(?:/(?P<profile>[^/]+?))??(?P<rejected>/rejected)?")
_APPENDED = re.compile(r"(?P<path>/v1/authorize/[^/]+)/.*", re.DOTALL)
"""A path of ours with the client's path appended, as Envoy's `path_prefix` does."""


class Route(Protocol):
    """The endpoint of one path. `endpoint` None: its requests are not counted."""

    @property
    def endpoint(self) -> Endpoint | None: ...
    @property
    def methods(self) -> tuple[str, ...]: ...
    @property
    def auth(self) -> RequiredAuth: ...
    @property
    def profile(self) -> str: ...

    async def __call__(self, request: HttpRequest) -> EndpointResult: ...


@dataclass(frozen=True, slots=True)
class _NotFound:
    """An unknown path or profile; the guards and the method are checked all the same."""

    error: RequestError | UnknownProfileError
    endpoint: Endpoint | None = None
    methods: tuple[str, ...] = ANY_METHOD
    auth: RequiredAuth = RequiredAuth.HEADER
    profile: str = ""

    async def __call__(self, request: HttpRequest) -> EndpointResult:  # noqa: ARG002 - the form of every endpoint
        # Not raised: the error exists as long as the process, and each raise would make its traceback longer.
        return error_result(self.error)


_NOT_FOUND = _NotFound(RequestError("not-found", "See /openapi.json for the list of paths."))


class Routes:
    """Every path that exists; a path without a profile name is for the profile `default`."""

    def __init__(self, vendors: Mapping[str, TokenProvider], guards: Guards, token_headers: Mapping[str, str]) -> None:
        self._profiles = tuple(vendors)
        self._routes: dict[str, Route] = {
            "/oauth/token": OAuthEndpoint(vendors, guards),
            "/openapi.json": OpenApiEndpoint(),
        }
        self._appended: dict[str, Route] = {}
        for name, vendor in vendors.items():
            token, rejected, header = TokenEndpoint(vendor), RejectedEndpoint(vendor), token_headers[name]
            authorize = AuthorizeEndpoint(vendor, header)
            for suffix in (f"/{name}", "") if name == "default" else (f"/{name}",):
                self._routes[f"/v1/token{suffix}"] = token
                self._routes[f"/v1/token{suffix}/rejected"] = rejected
                self._routes[f"/v1/authorize{suffix}"] = authorize
            if guards.serve_proxies:
                self._appended[f"/v1/authorize/{name}"] = AuthorizeEndpoint(vendor, header, reads_query=False)

    def find(self, path: str) -> Route:
        return self._routes.get(path) or self._find_appended(path) or _nowhere(path, self._profiles)

    def _find_appended(self, path: str) -> Route | None:
        form = _APPENDED.fullmatch(path) if self._appended else None
        return None if form is None else self._appended.get(form["path"])


def _nowhere(path: str, profiles: Iterable[str]) -> Route:
    form = _OF_A_PROFILE.fullmatch(path)
    if form is None or (form["rejected"] and form["endpoint"] == "authorize"):
        return _NOT_FOUND
    text = missing_default(profiles) if form["profile"] is None else "No profile has this name."
    error = UnknownProfileError(text)
    if form["endpoint"] == "authorize":
        return _NotFound(error, "authorize", AuthorizeEndpoint.methods, AuthorizeEndpoint.auth)
    if form["rejected"]:
        return _NotFound(error, "rejected", RejectedEndpoint.methods)
    return _NotFound(error, "token", TokenEndpoint.methods)
