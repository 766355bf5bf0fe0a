"""`token-sidecar serve`: run until a signal says stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from sidecar.app import signals
from sidecar.app.process import settle
from sidecar.app.service import Service
from sidecar.config.settings import Settings


async def serve(settings: Settings, environ: Mapping[str, str]) -> int:
    """Serve until SIGTERM or SIGINT, drain, and answer exit code 0. A second signal ends the drain at once.

    Before it serves, the first signal ends the process. `environ` says whether a service manager wants to be told.
    """
    service = Service(settings, environ=environ)
    # Before there is anything secret in what may be garbage one day.
    settle()
    await service.start()
    try:
        await wait_for_signal(service, settings.drain_s)
    finally:
        await service.stop()
    return 0


async def wait_for_signal(service: Service, drain_s: float) -> None:
    """Wait for SIGTERM or SIGINT, then for the end of the drain. SIGHUP re-reads the credentials."""
    asked, hurried = asyncio.Event(), asyncio.Event()

    def stop() -> None:
        (hurried if asked.is_set() else asked).set()

    with signals.delivered(asyncio.get_running_loop(), stop, service.reread_credentials):
        await asked.wait()
        service.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain_s):
                await hurried.wait()
