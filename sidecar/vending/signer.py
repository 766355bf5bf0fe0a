"""Signs requests of one profile with its current Signing Key, as of the partner's time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from sidecar.core.events import RequestSigned
from sidecar.core.model import Profile, Secret, UtcTime
from sidecar.core.ports import Clock, EventSink
from sidecar.core.signing import SigningRecipe, signature_headers
from sidecar.vending.partner_clock import PartnerClock

ON_THE_LOOP_BYTES = 64 * 1024
"""Longer bodies are hashed in a thread: each mebibyte takes about a millisecond, in which nothing else would run."""


class SigningSource(Protocol):
    """What a signature needs of a profile."""

    @property
    def profile(self) -> Profile: ...

    @property
    def signing_key(self) -> Secret | None:
        """The key of the account whose token is vended; None where there is none."""
        ...

    @property
    def partner_clock(self) -> PartnerClock: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """The headers with timestamp and signature, and when they were made, by this machine's clock."""

    headers: Mapping[str, str]
    at: UtcTime


class Signer:
    """Makes the headers of the recipe, and emits `RequestSigned` for each signature."""

    def __init__(self, recipe: SigningRecipe, source: SigningSource, clock: Clock, sink: EventSink) -> None:
        self._recipe = recipe
        self._source = source
        self._clock = clock
        self._sink = sink
        self.made = 0
        """How many signatures were made."""

    @property
    def headers(self) -> tuple[str, ...]:
        """The names of the headers that `sign` makes."""
        return self._recipe.timestamp_header, self._recipe.signature_header

    @property
    def has_key(self) -> bool:
        return self._source.signing_key is not None

    async def sign(self, body: bytes) -> Signed | None:
        """Sign the exact bytes of a body as of now; None without a key."""
        key = self._source.signing_key
        if key is None:
            return None
        at = self._clock.wall()
        stated_at = self._source.partner_clock.time_for_partner(at)
        if len(body) <= ON_THE_LOOP_BYTES:
            headers = signature_headers(self._recipe, key, body, stated_at)
        else:
            headers = await asyncio.to_thread(signature_headers, self._recipe, key, body, stated_at)
        self.made += 1
        self._sink.emit(RequestSigned(profile=self._source.profile.name))
        return Signed(headers=headers, at=at)
