"""Connects one profile's adapters to its use cases."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import aiohttp

from sidecar.app.settings_files import BackgroundCredentials, mounted_credentials, read_seal_keys
from sidecar.config.schema import Settings
from sidecar.config.settings import ProfileSettings
from sidecar.core.errors import ConfigurationError
from sidecar.core.model import Credentials, Profile, Secret
from sidecar.core.partner_table import PartnerTable
from sidecar.core.ports import Clock, CredentialsSource, EventSink
from sidecar.core.signing import holds
from sidecar.credentials.directory import StaticCredentials
from sidecar.file_operations import FileOperationError, FileOperations, FileStalls
from sidecar.partner.client import PartnerClient
from sidecar.partner.transport import PartnerCertificates
from sidecar.stores.factory import Store, open_store
from sidecar.stores.sealing import AesSealer, OpenSealer, Sealer
from sidecar.telemetry.redaction import Redactor
from sidecar.vending.assembly import Assembly, assemble
from sidecar.vending.local_budget import LocalBudgets
from sidecar.vending.partner_clock import PartnerClock
from sidecar.vending.profile_provider import ProfileProvider
from sidecar.vending.refresher import Beat
from sidecar.vending.signer import Signer

LATEST = 4
"""How many of the latest credentials stay redacted: a partner may still quote them after their last use here."""


class RedactedCredentials:
    """Registers credentials with the redactor, so that none of them reaches a log line.

    The latest `LATEST` and all that are still in use stay registered. Others are removed. Credentials that are equal to
    registered ones are returned as the same object, not as a copy.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._latest: deque[Credentials] = deque(maxlen=LATEST)
        self._known: list[weakref.ref[Credentials]] = []

    def keep(self, found: Credentials) -> Credentials:
        """Return the equal credentials that are registered already, if any; else register `found` and return it."""
        known = [one for reference in self._known if (one := reference()) is not None]
        credentials = next((one for one in known if one is found or one == found), None)
        if credentials is None:
            credentials, secrets = found, tuple(_secrets(found))
            self._redactor.register(*secrets)
            # Not by count: the credentials that obtained the current token stay in use until others obtain one.
            weakref.finalize(credentials, self._redactor.forget, *secrets).atexit = False
            self._known = [weakref.ref(each) for each in (*known, credentials)]
        if not any(each is credentials for each in self._latest):
            self._latest.append(credentials)
        return credentials


def _secrets(credentials: Credentials) -> Iterator[Secret]:
    return (
        secret
        for secret in (credentials.api_key, credentials.api_secret, credentials.signing_key)
        if secret is not None
    )


def credentials_source(
    settings: ProfileSettings, redactor: Redactor, stalls: FileStalls, on_change: Callable[[], None] = lambda: None
) -> CredentialsSource:
    """Return the mounted directory or the environment as source. `on_change` as for `BackgroundCredentials`."""
    keep = RedactedCredentials(redactor).keep
    if (directory := settings.credentials_dir) is not None:
        operations = FileOperations("credentials", stalls, settings.profile.name)
        source = mounted_credentials(directory, settings.table)
        return BackgroundCredentials(source, operations, str(directory), keep=keep, on_change=on_change)
    if settings.credentials is not None:
        return StaticCredentials(keep(settings.credentials), key_may_have_colon=settings.table.key_may_have_colon)
    raise ConfigurationError([f"profile {settings.profile.name} has no credentials"])


def check_signing(table: PartnerTable) -> None:
    """Raise `ConfigurationError` unless the table's recipe gives the signature that the partner published, if any."""
    if table.sign is not None and table.sign_test is not None and not holds(table.sign, table.sign_test):
        raise ConfigurationError([f"partner {table.name}: its signing recipe does not give the published signature"])


def open_signers(
    settings: Settings, providers: Mapping[str, ProfileProvider], clock: Clock, sink: EventSink
) -> dict[str, Signer]:
    """Return the signer of each profile whose partner has a recipe, by name."""
    return {
        one.profile.name: Signer(one.table.sign, providers[one.profile.name], clock, sink)
        for one in settings.profiles
        if one.table.sign is not None
    }


def settings_sealer(settings: Settings) -> Sealer:
    """Return the sealer of the settings. Raises `ConfigurationError`."""
    keys = None if settings.seal_key_file is None else read_seal_keys(settings.seal_key_file)
    return OpenSealer() if keys is None else AesSealer(keys)


def open_settings_store(settings: Settings, sealer: Sealer, clock: Clock, stalls: FileStalls) -> Store:
    """Open the store that the settings name. Raises `ConfigurationError`."""
    return open_store(settings.store, timeout_s=settings.store_timeout_s, sealer=sealer, clock=clock, stalls=stalls)


def partner_certificates(sink: EventSink, stalls: FileStalls) -> PartnerCertificates:
    """Return the certificates that partner calls trust. Raises `ConfigurationError`."""
    try:
        return PartnerCertificates(sink, stalls)
    except FileOperationError as error:
        raise ConfigurationError([f"trusted certificates: {error}"]) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """The objects that all accounts of a process share."""

    replica_id: str
    clock: Clock
    store: Store
    session: aiohttp.ClientSession
    certificates: PartnerCertificates
    redactor: Redactor
    sink: EventSink
    beat: Beat
    budgets: LocalBudgets
    stalls: FileStalls
    corrects_clock: bool = True
    """Whether timestamps of signatures are by the partner's clock."""

    def open_profile(self, settings: ProfileSettings) -> ProfileProvider:
        """Build one profile. Raises `CredentialsError`, `ConfigurationError`."""
        profile = settings.profile
        check_signing(settings.table)
        self.redactor.register(*settings.table.secrets)
        source = credentials_source(settings, self.redactor, self.stalls, lambda: provider.reload_credentials())
        partner_clock = PartnerClock(profile.name, self.clock, self.sink, corrects=self.corrects_clock)
        build = partial(self._assemble, settings.table, partner_clock)
        has_recipe = settings.table.sign is not None
        provider = ProfileProvider(profile, source, build, self.clock, self.sink, partner_clock, has_recipe=has_recipe)
        return provider

    def _assemble(
        self, table: PartnerTable, partner_clock: PartnerClock, profile: Profile, credentials: CredentialsSource
    ) -> Assembly:
        timeout_s, redactor = profile.partner_timeout_s, self.redactor
        return assemble(
            profile,
            replica_id=self.replica_id,
            clock=self.clock,
            store=self.store.shared_state(profile),
            partner=PartnerClient(
                table,
                profile.base_url,
                timeout_s,
                self.session,
                self.clock,
                lambda: redactor.texts,
                self.certificates,
                partner_clock.measure,
            ),
            credentials=credentials,
            sink=self.sink,
            beat=self.beat,
            budgets=self.budgets,
        )
