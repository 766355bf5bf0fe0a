"""One whole sidecar with a gateway, in a thread, in front of a partner that records what it receives."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from sidecar.app.running import load_settings
from sidecar.app.service import Service
from sidecar.core.model import Address
from sidecar.telemetry.throttle import Throttle
from tests.integration.gateway_requests.partner import REFRESH, TOKEN, RecordingPartner
from tests.integration.raw_requests.services import LoopThread

API_KEY, API_SECRET, SIGNING_KEY = "the-api-key-0c93", "the-api-secret-a41f", "the-signing-key-e8d2"
CALLER_TOKEN = "the-caller-token-39aa"
SECRETS = (TOKEN, REFRESH, API_KEY, API_SECRET, SIGNING_KEY, CALLER_TOKEN)
"""No response and no log line may hold one of them."""
_SETTINGS = {
    "LISTEN": "127.0.0.1:0",
    "ADMIN_LISTEN": "127.0.0.1:0",
    "GATEWAY_LISTEN": "127.0.0.1:0",
    # No conversation ends because time has passed.
    "HEADER_TIMEOUT_S": "600",
    "BODY_TIMEOUT_S": "600",
    "WRITE_TIMEOUT_S": "600",
    "GATEWAY_TIMEOUT_S": "600",
}


class _Log(io.StringIO):
    """Keeps only the lines that must not be written."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []

    def write(self, text: str, /) -> int:
        wrong = (*SECRETS, "internal_failure", "library_message")
        self.faults += [line for line in text.splitlines() if any(one in line for one in wrong)]
        return len(text)


@dataclass(frozen=True, slots=True)
class RunningGateway:
    service: Service
    loop: LoopThread
    partner: RecordingPartner
    log: _Log

    @property
    def address(self) -> Address:
        return self.service.gateways_bound["default"][0]

    def wait_until_quiet(self) -> None:
        """Return once no app is connected and no call is under way."""
        gateways = self.service._gateways
        assert gateways is not None
        forwarder = gateways.by_profile["default"].forwarder

        async def under_way() -> int:
            return self.service._listeners.connections()["gateway"] + forwarder.calls

        while self.loop.run(under_way()):
            self.loop.settle()


@contextmanager
def running_gateway(folder: Path, **settings: str) -> Iterator[RunningGateway]:
    """`settings` by name without the prefix; `folder` gets the secrets. Fails where a log line shows a fault."""
    loop, partner, log = LoopThread(), RecordingPartner(), _Log()
    for name, text in (("api-key", API_KEY), ("api-secret", API_SECRET), ("signing-key", SIGNING_KEY)):
        (folder / name).write_text(text)
    loop.start()
    with ExitStack() as stack:
        stack.callback(loop.stop)
        # Every line is written: a line that shows a secret is not left out because a similar one came before it.
        stack.enter_context(patch.object(Throttle, "admit", lambda *_: 0))
        given = {**_SETTINGS, "CREDENTIALS_DIR": str(folder), "BASE_URL": loop.run(partner.start()), **settings}
        stack.callback(lambda: loop.run(partner.stop()))
        service = Service(load_settings({f"SIDECAR_{name}": text for name, text in given.items()}), log=log)
        loop.run(service.start())
        stack.callback(lambda: loop.run(service.stop()))
        # Clients here close their side at once, and a call that waits for a token is not sent then.
        loop.run(service.providers["default"].vend())
        yield RunningGateway(service, loop, partner, log)
    assert not log.faults, log.faults
    assert not partner.faults, partner.faults


def caller_token_file(folder: Path) -> str:
    """Write the file, and return its path."""
    path = folder / "caller-token"
    path.write_text(CALLER_TOKEN)
    return str(path)
