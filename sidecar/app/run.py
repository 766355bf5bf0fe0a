"""`token-sidecar serve`: runs until a signal stops it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from sidecar.app import signals
from sidecar.app.process import settle
from sidecar.app.service import Service
from sidecar.config.schema import Settings


async def serve(settings: Settings, environ: Mapping[str, str]) -> int:
    """Serve until SIGTERM or SIGINT, drain, and return exit code 0. A second signal ends the drain at once.

    Before it serves, the first signal ends the process. `environ` may have the variables of a service manager.
    """
    service = Service(settings, environ=environ)
    # Before any secret is read: objects that exist now are never collected as garbage.
    settle()
    await service.start()
    try:
        await wait_for_signal(service, settings.drain_s)
    finally:
        await service.stop()
    return 0


async def wait_for_signal(service: Service, drain_s: float) -> None:
    """Wait for SIGTERM or SIGINT, then for the end of the drain. SIGHUP reloads the credentials."""
    stopping, skip_drain = asyncio.Event(), asyncio.Event()

    def stop() -> None:
        (skip_drain if stopping.is_set() else stopping).set()

    with signals.delivered(asyncio.get_running_loop(), stop, service.reread_credentials):
        await stopping.wait()
        service.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain_s):
                await skip_drain.wait()
