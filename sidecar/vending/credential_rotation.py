"""Which pair of credentials to use: the newest that the partner does not refuse."""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.core.errors import CredentialsError
from sidecar.core.events import CredentialsChanged, CredentialsUnreadable
from sidecar.core.model import Credentials
from sidecar.core.ports import CredentialsSource, EventSink

KEPT_IDS = 8
"""Proven pairs of others that are remembered: a few, as the store does. The files here may come to name one of them."""


class CredentialRotation:
    """The newest pair of one account, and the one before it until the newest has obtained a token."""

    def __init__(self, profile_name: str, source: CredentialsSource, sink: EventSink) -> None:
        """Raises `CredentialsError` when there is no readable pair to begin with."""
        self._profile_name = profile_name
        self._source = source
        self._sink = sink
        self._newest = source.read()
        self._previous: Credentials | None = None
        self._proven: dict[str, None] = {}
        self._problem = ""

    @property
    def newest(self) -> Credentials:
        return self._newest

    @property
    def credentials_ids(self) -> tuple[str, ...]:
        """Of the pairs `pick` chooses from."""
        return tuple(pair.credentials_id for pair in (self._newest, self._previous) if pair is not None)

    @property
    def readable(self) -> bool:
        """Whether the last look at the source gave a pair."""
        return not self._problem

    @property
    def on_trial(self) -> bool:
        """Whether the newest pair has yet to obtain a token, anywhere in the fleet."""
        return self._newest.credentials_id not in self._proven

    def look(self) -> None:
        """Read the source. A pair that cannot be read is reported, and the old one kept."""
        try:
            found = self._source.read()
        except CredentialsError as error:
            if str(error) != self._problem:
                self._problem = str(error)
                self._sink.emit(CredentialsUnreadable(profile=self._profile_name, problem=self._problem))
            return
        self._problem = ""
        if found.credentials_id == self._newest.credentials_id:
            return
        # A pair that was never proven is not worth going back to.
        if not self.on_trial:
            self._previous = self._newest
        self._newest = found
        self._sink.emit(CredentialsChanged(profile=self._profile_name, credentials_id=found.credentials_id))

    def prove(self, credentials_ids: Iterable[str]) -> None:
        """These pairs obtained a token, here or on another replica."""
        self._proven |= dict.fromkeys(credentials_ids)
        others = [name for name in self._proven if name not in self.credentials_ids]
        for name in others[:-KEPT_IDS]:
            del self._proven[name]
        if not self.on_trial:
            self._previous = None

    def pick(self, refused: Iterable[str]) -> Credentials | None:
        """The newest pair that is not refused at the moment; None when the partner refuses all there are."""
        refused_ids = set(refused)
        for pair in (self._newest, self._previous):
            if pair is not None and pair.credentials_id not in refused_ids:
                return pair
        return None
