"""Each test has its own sidecar, so that no token was revoked by another test. Those of the gateway share one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.gateway_clients import PROGRAMS
from tests.clients.gateway_site import GatewaySite, gateway_site
from tests.clients.numbered_sidecar import NumberedSidecar
from tests.clients.redirector import Redirector
from tests.clients.refuser import Refuser
from tests.clients.site import CALLER_TOKEN, WITH_A_KEY, Partner, Site, partner_process, site_with
from tests.support.programs import found
from tests.support.threaded import in_a_thread


@pytest.fixture(scope="session")
def shared_partner() -> Iterator[Partner]:
    with partner_process() as partner:
        yield partner


@pytest.fixture
def partner(shared_partner: Partner) -> Partner:
    """The sandbox of the session, with counts and faults reset."""
    shared_partner.reset()
    return shared_partner


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a short name: the path of a unix socket must stay below 108 bytes."""
    return tmp_path_factory.mktemp("site")


@pytest.fixture
def site(partner: Partner, folder: Path) -> Iterator[Site]:
    with site_with(partner, folder) as site:
        yield site


@pytest.fixture
def paying_site(partner: Partner, folder: Path) -> Iterator[Site]:
    """A sidecar with a signing key and a gateway."""
    with site_with(partner, folder, **WITH_A_KEY) as site:
        yield site


@pytest.fixture
def locked_site(partner: Partner, folder: Path) -> Iterator[Site]:
    """A sidecar that requires `CALLER_TOKEN`."""
    (folder / "caller-token").write_text(CALLER_TOKEN)
    with site_with(partner, folder, SIDECAR_CALLER_TOKEN_FILE=str(folder / "caller-token")) as site:
        yield site


@pytest.fixture
def refuser() -> Iterator[Refuser]:
    with in_a_thread(Refuser()) as refuser:
        yield refuser


@pytest.fixture
def origin() -> Iterator[Redirector]:
    with in_a_thread(Redirector()) as origin:
        yield origin


@pytest.fixture
def other() -> Iterator[Redirector]:
    with in_a_thread(Redirector()) as other:
        yield other


@pytest.fixture
def sidecar() -> Iterator[NumberedSidecar]:
    """In place of a real one."""
    with in_a_thread(NumberedSidecar()) as sidecar:
        yield sidecar


@pytest.fixture(scope="session")
def shared_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewaySite]:
    with gateway_site(tmp_path_factory.mktemp("gateway")) as site:
        yield site


@pytest.fixture
def gateway(shared_gateway: GatewaySite, monkeypatch: pytest.MonkeyPatch) -> GatewaySite:
    """The gateway of the session, and a partner that has seen nothing."""
    # As docs/gateway.md says, for a machine with a proxy.
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    shared_gateway.reset()
    return shared_gateway


@pytest.fixture(scope="session")
def java_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the compiled `GatewayClient.java`."""
    folder = tmp_path_factory.mktemp("java")
    subprocess.run([found("javac") or "javac", "-d", folder, PROGRAMS / "GatewayClient.java"], check=True)
    return folder
