"""The clients that may use the sandbox's control path."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from sidecar.core.model import Secret
from sidecar.sandbox import SandboxConfig
from sidecar.sandbox.control import loopback_only
from sidecar.sandbox.server import _application
from sidecar.sandbox.state import SandboxState
from tests.support.hand_clock import HandClock


async def ok(_request: web.Request) -> web.Response:
    return web.Response()


@pytest.mark.parametrize(
    ("remote", "status"),
    [("127.0.0.1", 200), ("127.9.9.9", 200), ("::1", 200), ("10.0.0.1", 404), ("", 404), (None, 404)],
)
async def test_only_loopback_peers_reach_it(remote: str | None, status: int) -> None:
    request = make_mocked_request("GET", "/_sandbox/stats").clone(remote=remote)  # type: ignore[arg-type]
    assert (await loopback_only(request, ok)).status == status


async def test_every_peer_reaches_the_partners_endpoints() -> None:
    request = make_mocked_request("GET", "/api/pay1st/payments/methods").clone(remote="10.0.0.1")
    assert (await loopback_only(request, ok)).status == 200


@pytest.mark.parametrize("beyond", [False, True])
def test_other_machines_reach_it_only_if_the_configuration_allows_it(beyond: bool) -> None:
    config = SandboxConfig(api_key=Secret("key"), api_secret=Secret("secret"), control_beyond_loopback=beyond)
    application = _application(SandboxState(config, HandClock()))
    assert (loopback_only in application.middlewares) is not beyond
