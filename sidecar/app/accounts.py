"""One profile's adapters, wired to its use cases."""

from __future__ import annotations

from collections.abc import Iterator

import aiohttp

from sidecar.config.settings import ProfileSettings, Settings
from sidecar.core.errors import ConfigurationError
from sidecar.core.model import Credentials, Secret
from sidecar.core.ports import Clock, CredentialsSource, EventSink
from sidecar.file_sink.token_file import TokenFile
from sidecar.partner.client import PartnerClient
from sidecar.partner.credentials import DirectoryCredentials, StaticCredentials
from sidecar.partner.presets import PRESETS
from sidecar.stores.opening import Store, open_store
from sidecar.stores.seal import AesSealer, OpenSealer, Sealer, load_seal_keys
from sidecar.telemetry.redaction import Redactor
from sidecar.vending.assembly import Assembly, assemble
from sidecar.vending.beat import Beat

PAIRS = 4
"""The newest, the one before it, and two that a partner may still quote."""


class RedactedCredentials:
    """Tells the redactor every pair that is read, so that none of them ever reaches a log line.

    The latest `PAIRS` are known, the older ones forgotten; a pair that comes back is the object it was, not a copy.
    """

    def __init__(self, inner: CredentialsSource, redactor: Redactor) -> None:
        self._inner = inner
        self._redactor = redactor
        self._pairs: list[Credentials] = []

    def read(self) -> Credentials:
        found = self._inner.read()
        for pair in self._pairs:
            if pair is found or pair == found:
                return pair
        self._pairs = [found, *self._pairs]
        self._redactor.register(*_secrets(found))
        if len(self._pairs) > PAIRS:
            self._redactor.forget(*_secrets(self._pairs.pop()))
        return found


def _secrets(pair: Credentials) -> Iterator[Secret]:
    return (secret for secret in (pair.api_key, pair.api_secret, pair.signing_key) if secret is not None)


def credentials_source(settings: ProfileSettings, redactor: Redactor) -> CredentialsSource:
    """The mounted directory, or the pair of the environment."""
    inner: CredentialsSource
    if settings.credentials_dir is not None:
        inner = DirectoryCredentials(settings.credentials_dir)
    elif settings.credentials is not None:
        inner = StaticCredentials(settings.credentials)
    else:
        raise ConfigurationError([f"profile {settings.profile.name} has no credentials"])
    return RedactedCredentials(inner, redactor)


def settings_sealer(settings: Settings) -> Sealer:
    """What seals tokens as the settings say. Raises `ConfigurationError`."""
    keys = None if settings.seal_key_file is None else load_seal_keys(settings.seal_key_file)
    return OpenSealer() if keys is None else AesSealer(keys)


def open_settings_store(settings: Settings, sealer: Sealer, clock: Clock) -> Store:
    """The store the settings name. Raises `ConfigurationError`."""
    return open_store(settings.store_url, timeout_s=settings.store_timeout_s, sealer=sealer, clock=clock)


def open_token_file(settings: ProfileSettings) -> TokenFile | None:
    """Where the profile's token is kept for apps that read a file. Raises `ConfigurationError`."""
    if settings.sink_file is None:
        return None
    return TokenFile(settings.sink_file, settings.sink_file_origin)


def assemble_account(
    settings: ProfileSettings,
    *,
    replica_id: str,
    clock: Clock,
    store: Store,
    session: aiohttp.ClientSession,
    redactor: Redactor,
    sink: EventSink,
    beat: Beat,
) -> Assembly:
    """Build one profile. Raises `CredentialsError`, `ConfigurationError`."""
    profile = settings.profile
    preset = PRESETS[profile.partner]
    return assemble(
        profile,
        replica_id=replica_id,
        clock=clock,
        store=store.shared_state(profile),
        partner=PartnerClient(
            preset, profile.base_url, profile.partner_timeout_s, session, clock, lambda: redactor.texts
        ),
        credentials=credentials_source(settings, redactor),
        sink=sink,
        beat=beat,
    )
