"""Builds the handlers of the listeners that apps use: the vending API, and the gateways where they are set up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecar.app.listeners import guard_settings
from sidecar.app.observers import Observers
from sidecar.app.wiring import open_signers
from sidecar.config.schema import Settings
from sidecar.core.ports import Clock
from sidecar.credentials.caller_token import CallerTokens
from sidecar.partner.transport import PartnerCertificates
from sidecar.vending.profile_provider import ProfileProvider
from sidecar.vending.signer import Signer
from sidecar.web.api.app import TokenApi
from sidecar.web.api.guards import Guards
from sidecar.web.server.fast_path import FastPath

if TYPE_CHECKING:
    from sidecar.app.gateways import Gateways


@dataclass(frozen=True, slots=True, kw_only=True)
class Handlers:
    """The handler of the vending listener with its fast path, and what the gateways share with it."""

    settings: Settings
    observers: Observers
    clock: Clock
    providers: Mapping[str, ProfileProvider]
    signers: Mapping[str, Signer]
    caller_tokens: Callable[[], CallerTokens | None]
    tokens: TokenApi
    fast_path: FastPath | None

    def open_gateways(self, certificates: PartnerCertificates) -> Gateways | None:
        """Build the gateways; None where no profile has one. Raises `ConfigurationError`."""
        if all(one.gateway is None for one in self.settings.profiles):
            return None
        # Imported here: a sidecar without a gateway loads nothing of it.
        from sidecar.app.gateways import Gateways

        return Gateways(
            self.settings,
            self.providers,
            self.signers,
            certificates,
            self.caller_tokens,
            clock=self.clock,
            sink=self.observers.sink,
            audit=self.observers.gateway_audit(),
        )


def build_handlers(
    settings: Settings,
    observers: Observers,
    clock: Clock,
    providers: Mapping[str, ProfileProvider],
    caller_tokens: Callable[[], CallerTokens | None] | None,
) -> Handlers:
    """Build the vending API. `caller_tokens` None: callers need no token."""
    given = caller_tokens or (lambda: None)
    fast_path = observers.fast_path(given)
    signers = open_signers(settings, providers, clock, observers.sink)
    tokens = TokenApi(
        providers,
        Guards(guard_settings(settings, given, settings.listen)),
        observers.sink,
        clock,
        {one.profile.name: one.table.header for one in settings.profiles},
        signers=signers,
        sign_max_bytes=settings.sign_max_bytes,
        audit=observers.audit,
        fast_path=fast_path,
    )
    return Handlers(
        settings=settings,
        observers=observers,
        clock=clock,
        providers=providers,
        signers=signers,
        caller_tokens=given,
        tokens=tokens,
        fast_path=fast_path,
    )
