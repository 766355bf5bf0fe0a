"""The API of a partner that is a table: what its rules for the gateway and its `sign_probe` name, with a token."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from sidecar.core.allow_list import AllowList, read_rule
from sidecar.core.partner_table import PartnerTable
from sidecar.sandbox.api_endpoints import ApiEndpoints
from sidecar.sandbox.state import SandboxState


class TableEndpoints(ApiEndpoints):
    """Answers each request that `gateway_allow` names with what arrived, and has no other effect.

    The write of `sign_probe` is refused when its body is an empty object.
    """

    def __init__(self, table: PartnerTable, state: SandboxState) -> None:
        super().__init__(table, state)
        probe = table.sign_probe
        probes = [] if probe is None else [f"POST {probe.path}"]
        rules = [read_rule(rule) for rule in (*table.gateway_allow, *probes)]
        self._probe_path = "" if probe is None else probe.path
        self.table = table
        self.known_paths = frozenset(rule.path for rule in rules if not rule.prefix)
        self._allowed = AllowList(rules, table.authentication_paths)

    def serves(self, request: web.Request) -> bool:
        return self._allowed.allows(request.method, request.raw_path)

    async def answer(self, request: web.Request) -> web.Response:
        """Return 201 for a POST and 200 for others, with method, path and length of the body."""
        if problem := self.problem(request, request.method, None):
            return problem
        body = await request.read()
        if body == b"{}" and request.path == self._probe_path:
            return self.error(400)
        arrived = {"method": request.method, "path": request.path, "bytes": len(body)}
        return web.json_response(arrived, status=201 if request.method == "POST" else 200)


def serving(endpoints: Sequence[TableEndpoints], request: web.Request) -> TableEndpoints | None:
    return next((each for each in endpoints if each.serves(request)), None)
