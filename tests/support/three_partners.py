"""One fleet with three profiles of three partners, each simulated on a port of its own with its own credentials."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sidecar.app.clock import SystemClock
from sidecar.core.model import Secret
from sidecar.core.partner_table import PartnerTable
from sidecar.sandbox import Sandbox, SandboxConfig
from sidecar.sandbox.journal import Call
from tests.servers import RedisServer
from tests.support.partners import PAY1ST
from tests.support.processes import CONFIG, Fleet, open_fleet
from tests.support.replica import Replica, until

SIGNING_KEY = "the-signing-key"
PARTNERS = {"payments": "pay1st", "ledger": "oauth2", "cards": "acme"}
"""The partner of each profile."""
_SCOPE = "ledger:read ledger:write"
TABLES: Mapping[str, PartnerTable] = {
    "payments": PAY1ST,
    "ledger": PartnerTable(
        name="oauth2",
        token_path="/oauth2/token",
        request="form",
        oauth2=True,
        fields={"grant_type": "client_credentials", "scope": _SCOPE},
        content_type="application/x-www-form-urlencoded",
        access_field="access_token",
        expires_field="expires_in",
        probe_path="/userinfo",
    ),
    "cards": PartnerTable(
        name="acme",
        token_path="/v2/session",
        client_auth="header",
        key_header="X-Acme-Key",
        secret_header="X-Acme-Secret",
        fields={"channel": "server"},
        content_type="application/vnd.acme+json",
        access_field="data.session.token",
        expires_field="data.session.expiresIn",
        token_header="X-Acme-Session",
        token_scheme="Session",
        probe_path="/v2/me",
    ),
}
"""What each simulated partner expects. It is written apart from the settings file, which has to say the same."""

SETTINGS = """\
[profiles.payments]
base_url = "{payments}"
credentials_dir = "{folder}/payments"
token_lifetime_s = {lifetime_s}

[profiles.ledger]
partner = "oauth2"
base_url = "{ledger}"
token_path = "/oauth2/token"
client_auth = "basic"
scope = "ledger:read ledger:write"
credentials_dir = "{folder}/ledger"

[profiles.cards]
partner = "acme"
credentials_dir = "{folder}/cards"

[partners.acme]
base_url = "{cards}"
token_path = "/v2/session"
client_auth = "header"
key_header = "X-Acme-Key"
secret_header = "X-Acme-Secret"
fields = {{ channel = "server" }}
content_type = "application/vnd.acme+json"
access_field = "data.session.token"
expires_field = "data.session.expiresIn"
token_header = "X-Acme-Session"
token_scheme = "Session"
"""


@dataclass(frozen=True)
class ThreePartners:
    """The fleet, whose `replicas` have all three profiles, and the partner of each profile."""

    fleet: Fleet
    sandboxes: Mapping[str, Sandbox]

    def calls(self, profile: str) -> list[Call]:
        return self.sandboxes[profile].state.journal.calls

    def issued(self, profile: str) -> int:
        """Return the number of tokens that the partner of this profile has issued."""
        return len(self.sandboxes[profile].state.accounts[PARTNERS[profile]].ends_at)

    async def start(self, count: int, **settings: str) -> list[Replica]:
        """Start replicas at once, and wait until each has a token of every profile."""
        replicas = await self.fleet.start(count, **settings)

        async def ready() -> bool:
            return {status for replica in replicas for status in (await readiness(replica)).values()} == {200}

        await until(ready)
        return replicas

    def url(self, profile: str) -> str:
        """Return a URL of the partner that answers 200 to a valid token in the right header, and 401 else."""
        return self.sandboxes[profile].url + TABLES[profile].probe_path


async def readiness(replica: Replica) -> dict[str, int]:
    """Return the status of `/readyz/P` for each profile."""
    return {profile: (await replica.admin(f"/readyz/{profile}")).status for profile in PARTNERS}


@asynccontextmanager
async def three_partners(folder: Path, redis: RedisServer, *, lifetime_s: float = 900) -> AsyncIterator[ThreePartners]:
    """Start the partners. All but `pay1st` declare the lifetime. Every profile has a file `signing-key`."""
    configs = {name: _config(name, lifetime_s) for name in PARTNERS}
    async with open_fleet(folder, redis, configs["payments"]) as fleet:
        others = {name: Sandbox(configs[name], SystemClock()) for name in ("ledger", "cards")}
        sandboxes = {"payments": fleet.sandbox, **others}
        try:
            for sandbox in others.values():
                await sandbox.start()
            urls = {name: sandbox.url for name, sandbox in sandboxes.items()}
            settings = folder / "three.toml"
            settings.write_text(SETTINGS.format(folder=folder, lifetime_s=lifetime_s, **urls))
            for name, config in configs.items():
                _mount(folder / name, config)
            for name in ("SIDECAR_CREDENTIALS_DIR", "SIDECAR_BASE_URL"):
                del fleet.settings[name]
            fleet.settings["SIDECAR_CONFIG"] = str(settings)
            yield ThreePartners(fleet, sandboxes)
        finally:
            for sandbox in others.values():
                await sandbox.stop()


def _config(profile: str, lifetime_s: float) -> SandboxConfig:
    return replace(
        CONFIG,
        api_key=Secret(f"{profile}-key"),
        api_secret=Secret(f"{profile}-secret"),
        signing_key=Secret(SIGNING_KEY),
        partners=(TABLES[profile],),
        token_lifetime_s=lifetime_s,
        declares_lifetime=profile != "payments",
    )


def _mount(directory: Path, config: SandboxConfig) -> None:
    directory.mkdir()
    (directory / "api-key").write_text(config.api_key.reveal())
    (directory / "api-secret").write_text(config.api_secret.reveal())
    (directory / "signing-key").write_text(SIGNING_KEY)
