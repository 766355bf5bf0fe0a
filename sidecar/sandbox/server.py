"""The sandbox as a server on a real socket."""

from __future__ import annotations

import asyncio
import logging
import socket

from aiohttp import web

from sidecar.core.partner_table import PartnerTable
from sidecar.core.ports import Clock
from sidecar.partner.presets import PRESETS
from sidecar.sandbox.api_endpoints import CHECKOUT_PATH, PaymentEndpoints, ProbeEndpoint
from sidecar.sandbox.arrivals import Arrivals, path_of
from sidecar.sandbox.config import SandboxConfig
from sidecar.sandbox.control import ControlEndpoints, loopback_only
from sidecar.sandbox.responses import error_response
from sidecar.sandbox.state import SandboxState
from sidecar.sandbox.table_endpoints import TableEndpoints, serving
from sidecar.sandbox.token_endpoints import TokenEndpoints

PAY1ST = PRESETS["pay1st"]
MAX_BODY_BYTES = 2 * 1024 * 1024


class Sandbox:
    """A simulated partner. Start it once, stop it once, in one event loop.

    `state` is shown and changed by the control path, and by tests in the same process.
    """

    def __init__(self, config: SandboxConfig, clock: Clock) -> None:
        self.state = SandboxState(config, clock)
        self.url = ""
        """The base URL, once it was started."""
        self._runner: web.AppRunner | None = None
        self._sockets: list[socket.socket] = []

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen, and return the base URL; port 0: any free port. Raises `OSError`."""
        # A signature is over the bytes as they were sent, so they are not decompressed.
        runner = web.AppRunner(
            _application(self.state), access_log=None, logger=_quiet_logger(), shutdown_timeout=1, auto_decompress=False
        )
        await runner.setup()
        try:
            self._sockets = await _listening(host, port)
            for sock in self._sockets:
                await web.SockSite(runner, sock).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        host, port = runner.addresses[0][:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        return self.url

    async def stop(self) -> None:
        """Stop listening; calls that hang are reset. Does nothing when not started."""
        self.state.stopping.set()
        # First: asyncio of Python 3.11 leaks a connection that it accepts while its server is closed. From accept to
        # the open connection it needs two turns of the event loop.
        for sock in self._sockets:
            asyncio.get_running_loop().remove_reader(sock)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self._sockets = []
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None


async def _listening(host: str, port: int) -> list[socket.socket]:
    """Return a listening socket for each address of the host. Raises `OSError`."""
    sockets: list[socket.socket] = []
    found = await asyncio.get_running_loop().getaddrinfo(host or None, port, type=socket.SOCK_STREAM)
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            sockets.append(socket.create_server(address[:2], family=family))
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _application(state: SandboxState) -> web.Application:
    """Route to the endpoints of each partner and to the control path, and return 404 for every other path."""
    partners = state.config.partners
    token_routes = [route for one in partners for route in TokenEndpoints(one, state).routes()]
    api_routes = [route for one in partners if one.probe_path for route in ProbeEndpoint(one, state).routes()]
    own_paths = [route.path for route in token_routes]
    if PAY1ST in partners:
        api_routes += PaymentEndpoints(PAY1ST, state).routes()
        own_paths.append(CHECKOUT_PATH)
    by_tables = [TableEndpoints(one, state) for one in partners if one.name not in PRESETS]
    probed = {one.probe_path: one for one in partners if one.probe_path}

    def table_of(request: web.Request) -> PartnerTable:
        found = serving(by_tables, request)
        return probed.get(path_of(request), partners[0] if found is None else found.table)

    async def other(request: web.Request) -> web.Response:
        found = serving(by_tables, request)
        return error_response(404, "sandbox") if found is None else await found.answer(request)

    known_paths = {
        *own_paths,
        *(route.path for route in api_routes),
        *(path for one in by_tables for path in one.known_paths),
    }
    arrivals = Arrivals(state, frozenset(known_paths), frozenset(own_paths), table_of)
    guards = [] if state.config.control_beyond_loopback else [loopback_only]
    application = web.Application(middlewares=[*guards, arrivals.middleware()], client_max_size=MAX_BODY_BYTES)
    application.on_response_prepare.append(arrivals.set_date)
    application.add_routes([*token_routes, *api_routes, *ControlEndpoints(state).routes()])
    application.router.add_route("*", "/{path:.*}", other)
    return application


def _quiet_logger() -> logging.Logger:
    """Return a logger that keeps only the exception's class: aiohttp's error lines quote requests with credentials."""
    logger = logging.getLogger("sidecar.sandbox")
    logger.filters = [_class_only]
    return logger


def _class_only(record: logging.LogRecord) -> bool:
    kind = record.exc_info[0] if record.exc_info else None
    record.msg = f"sandbox request failed: {kind.__name__ if kind else 'unknown'}"
    record.args, record.exc_info = (), None
    return True
