"""Which credentials to use: the newest that the partner does not reject."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sidecar.core.errors import CredentialsError
from sidecar.core.events import CredentialsChanged, CredentialsUnreadable, SigningKeyChanged
from sidecar.core.model import Credentials
from sidecar.core.ports import CredentialsSource, EventSink

KEPT_IDS = 8
"""Proven ids of other credentials that are kept: a few, as in the store. The files here may name one of them later."""


class CredentialRotation:
    """The newest credentials of one account, and the previous ones until the newest have obtained a token."""

    def __init__(self, profile_name: str, source: CredentialsSource, sink: EventSink) -> None:
        """Raises `CredentialsError` when no credentials can be read at the start."""
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
        """The ids of the credentials that `pick` chooses from."""
        return tuple(one.credentials_id for one in (self._newest, self._previous) if one is not None)

    @property
    def readable(self) -> bool:
        """Whether the last read of the source succeeded."""
        return not self._problem

    @property
    def on_trial(self) -> bool:
        """Whether the newest credentials have not obtained a token yet, anywhere in the fleet."""
        return self._newest.credentials_id not in self._proven

    def reload(self) -> None:
        """Read the source. If that fails, emit an event and keep the old credentials."""
        try:
            found = self._source.read()
        except CredentialsError as error:
            if str(error) != self._problem:
                self._problem = str(error)
                self._sink.emit(CredentialsUnreadable(profile=self._profile_name, problem=self._problem))
            return
        self._problem = ""
        if found.signing_key != self._newest.signing_key:
            present = found.signing_key is not None
            self._sink.emit(SigningKeyChanged(profile=self._profile_name, present=present))
        if found.credentials_id == self._newest.credentials_id:
            # Equal but for the signing key, which is not kept twice.
            self._newest = found
            return
        # Credentials that were never proven are not kept as the previous ones.
        if not self.on_trial:
            self._previous = self._newest
        self._newest = found
        self._sink.emit(CredentialsChanged(profile=self._profile_name, credentials_id=found.credentials_id))

    def prove(self, credentials_ids: Iterable[str]) -> None:
        """Record that these credentials obtained a token, here or on another replica."""
        self._proven |= dict.fromkeys(credentials_ids)
        others = [name for name in self._proven if name not in self.credentials_ids]
        for name in others[:-KEPT_IDS]:
            del self._proven[name]
        if not self.on_trial:
            self._previous = None

    def pick(self, blocked_ids: Collection[str]) -> Credentials | None:
        """Return the newest credentials that are not rejected now; None when the partner rejects all of them."""
        for credentials in (self._newest, self._previous):
            if credentials is not None and credentials.credentials_id not in blocked_ids:
                return credentials
        return None
