"""Builds the gateways of the profiles that have one, and opens and closes them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import aiohttp

from sidecar.app.listeners import guard_settings
from sidecar.app.observers import Fanout
from sidecar.config.schema import Settings
from sidecar.config.settings import GatewaySettings, ProfileSettings, SignedRequests
from sidecar.core.allow_list import AllowList, AllowRule, read_rule
from sidecar.core.errors import ConfigurationError
from sidecar.core.events import ConfigurationWarned
from sidecar.core.model import Address, MonotonicTime, Seconds
from sidecar.core.ports import Clock, EventSink
from sidecar.credentials.caller_token import CallerTokens
from sidecar.gateway.counts import GatewayCounts
from sidecar.gateway.forwarder import Forwarder
from sidecar.gateway.handler import MARKS, Gateway
from sidecar.gateway.sender import READS, Sender, open_gateway_session
from sidecar.partner.presets import PRESETS
from sidecar.partner.transport import PartnerCertificates
from sidecar.vending.profile_provider import ProfileProvider
from sidecar.vending.signer import Signer
from sidecar.web.api.guards import Guards

CERTIFICATES_KEPT_S: Seconds = 5
"""How long the trusted certificates are used until their files are looked at again."""


class _KeptContext:
    """The TLS context of the trusted certificates: one look at the files serves many calls."""

    def __init__(self, certificates: PartnerCertificates, clock: Clock) -> None:
        self._certificates = certificates
        self._clock = clock
        self._context: ssl.SSLContext | Literal[True] = True
        self._until: MonotonicTime | None = None

    async def __call__(self) -> ssl.SSLContext | Literal[True]:
        if self._until is None or self._clock.monotonic() >= self._until:
            self._context = await self._certificates.context()
            self._until = self._clock.monotonic() + CERTIFICATES_KEPT_S
        return self._context


@dataclass(frozen=True, slots=True)
class OpenGateway:
    """One profile's gateway: its handler for the listener, what has to be closed, and what it has done so far."""

    settings: GatewaySettings
    handler: Gateway
    forwarder: Forwarder
    session: aiohttp.ClientSession
    counts: GatewayCounts

    @property
    def listen(self) -> tuple[Address, ...]:
        return self.settings.listen

    @property
    def marks(self) -> Mapping[str, str]:
        return MARKS


class Gateways:
    """The gateways of all profiles that have one. `audit` gets each call, `sink` all events."""

    def __init__(
        self,
        settings: Settings,
        providers: Mapping[str, ProfileProvider],
        signers: Mapping[str, Signer],
        certificates: PartnerCertificates,
        caller_tokens: Callable[[], CallerTokens | None],
        *,
        clock: Clock,
        sink: EventSink,
        audit: EventSink,
    ) -> None:
        """Needs a running event loop. Raises `ConfigurationError`."""
        self.by_profile: dict[str, OpenGateway] = {}
        context = _KeptContext(certificates, clock)
        for one in settings.profiles:
            if one.gateway is None:
                continue
            allow = allow_list(one)
            name, gateway, provider = one.profile.name, one.gateway, providers[one.profile.name]
            lacks_key = one.table.sign is not None and provider.signing_key is None
            if lacks_key and (refused := refused_without_key(gateway, allow)):
                sink.emit(ConfigurationWarned(warning=f"gateway of profile {name}: {refused}"))
            session = open_gateway_session()
            sender = Sender(
                base_url=one.profile.base_url,
                token_header=one.table.header,
                signer=signers.get(name),
                sign=gateway.sign,
                session=session,
                certificates=context,
                measure=provider.partner_clock.measure,
                clock=clock,
            )
            counts = GatewayCounts()
            forwarder = Forwarder(provider, sender, gateway.replay, gateway.timeout_s)
            handler = Gateway(
                profile=name,
                guards=Guards(guard_settings(settings, caller_tokens, gateway.listen)),
                allow=allow,
                forwarder=forwarder,
                max_body_bytes=gateway.max_body_bytes,
                clock=clock,
                sink=Fanout((sink, counts)),
                audit=audit,
            )
            self.by_profile[name] = OpenGateway(gateway, handler, forwarder, session, counts)

    def status(self, profile: str, bound: Mapping[str, Iterable[Address]]) -> Mapping[str, object] | None:
        """Return a profile's object `gateway` in `/status.json`; None without a gateway. `bound`: addresses."""
        gateway = self.by_profile.get(profile)
        if gateway is None:
            return None
        listen = list(map(str, bound.get(profile, ())))
        return {"listen": listen, "callsUnderWay": gateway.forwarder.calls, **gateway.counts.document()}

    async def end_calls(self, grace_s: Seconds) -> None:
        """Let the calls under way end within `grace_s`, and give their apps an error after that."""
        await asyncio.gather(*(gateway.forwarder.close(grace_s) for gateway in self.by_profile.values()))

    async def close(self) -> None:
        """Close the connections to the partner."""
        await asyncio.gather(*(gateway.session.close() for gateway in self.by_profile.values()))


def allow_list(settings: ProfileSettings) -> AllowList:
    """Return what the profile's gateway forwards. Raises `ConfigurationError` for a rule that would never match."""
    table = settings.table
    given = settings.gateway.allow if settings.gateway is not None else None
    rules: Iterable[AllowRule] = map(read_rule, table.gateway_allow) if given is None else given
    # Those of the shipped partners too: they share one origin, and so one account could sign in by another's path.
    tables = (table, *PRESETS.values())
    allow = AllowList(rules, [path for one in tables for path in one.authentication_paths])
    never = [str(rule) for rule in given or () if allow.authenticates(rule.path)]
    if never:
        raise ConfigurationError(
            [f"profile {settings.profile.name}: the gateway never forwards authentication: remove {', '.join(never)}"]
        )
    return allow


def refused_without_key(settings: GatewaySettings, allow: AllowList) -> str:
    """Return a sentence about what a gateway without a signing key refuses; empty if nothing on its list is signed."""
    signed = [str(rule) for rule in allow.rules if settings.sign is SignedRequests.ALL or rule.method not in READS]
    return f"without a file signing-key in SIDECAR_CREDENTIALS_DIR it refuses {', '.join(signed)}" if signed else ""
