"""Profiles whose API key may change: whole providers on a virtual clock, one memory store and one partner."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

from sidecar.core.errors import CredentialsError
from sidecar.core.model import Credentials, Profile, Secret
from sidecar.core.ports import CredentialsSource
from sidecar.stores.engine import MemoryStore
from sidecar.vending.assembly import Assembly, assemble
from sidecar.vending.local_budget import LocalBudgets
from sidecar.vending.partner_clock import PartnerClock
from sidecar.vending.profile_provider import ProfileProvider
from sidecar.vending.refresher import Beat
from tests.support.fleet import Wire, hash_of
from tests.support.partner import FakePartner
from tests.support.sink import ListSink
from tests.support.virtual_time import VirtualClock

PROFILE = Profile(base_url="https://partner.example")


def credentials_with(key: str, secret: str = "") -> Credentials:
    """Return credentials with this key; the secret follows from the key unless given."""
    return Credentials(api_key=Secret(key), api_secret=Secret(secret or f"secret of {key}"))


@dataclass
class Files:
    """Replaces the mounted directory."""

    credentials: Credentials
    readable: bool = True

    def read(self) -> Credentials:
        if not self.readable:
            raise CredentialsError("api-key: empty")
        return self.credentials


@dataclass
class Sidecar:
    """One profile of one process. `wires` are its connections to the store, one for each account it used."""

    provider: ProfileProvider
    files: Files
    sink: ListSink
    wires: list[Wire]
    task: asyncio.Task[None]

    async def token(self) -> str:
        return (await self.provider.vend()).token.access.reveal()

    @property
    def profile_id(self) -> str:
        return self.provider.profile.profile_id

    def put(self, key: str, secret: str = "") -> None:
        """Put other credentials in the files, and signal it."""
        self.files.credentials = credentials_with(key, secret)
        self.provider.reload_credentials()

    async def stop(self) -> None:
        self.provider.stop()
        await self.provider.close()
        await self.task


@dataclass
class KeyFleet:
    """Make it while a virtual loop runs."""

    profile: Profile = PROFILE
    partner: FakePartner = field(default_factory=FakePartner)
    sidecars: list[Sidecar] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = MemoryStore(VirtualClock())
        self._cut = False

    def start(self, count: int = 1, key: str = "key-1") -> list[Sidecar]:
        """Start so many processes with one profile each."""
        return [self.process([self.profile], key)[0] for _ in range(count)]

    def process(self, profiles: list[Profile], key: str = "key-1") -> list[Sidecar]:
        """Start one process with these profiles, all with the same key."""
        name = f"process-{len(self.sidecars)}"
        clock = VirtualClock(seed=hash_of(name))
        beat, budgets = Beat(clock), LocalBudgets(clock)
        started = [self._start(profile, key, name, clock, beat, budgets) for profile in profiles]
        self.sidecars += started
        return started

    def _start(
        self, profile: Profile, key: str, process: str, clock: VirtualClock, beat: Beat, budgets: LocalBudgets
    ) -> Sidecar:
        files, sink, wires = Files(credentials_with(key)), ListSink(), list[Wire]()

        def build(of_account: Profile, credentials: CredentialsSource) -> Assembly:
            wires.append(Wire(self.store.shared_state(of_account)))
            wires[-1].cut = self._cut
            return assemble(
                of_account,
                replica_id=process,
                clock=clock,
                store=wires[-1],
                partner=self.partner,
                credentials=credentials,
                sink=sink,
                beat=beat,
                budgets=budgets,
            )

        provider = ProfileProvider(profile, files, build, clock, sink, PartnerClock(profile.name, clock, sink))
        return Sidecar(provider, files, sink, wires, asyncio.ensure_future(provider.run()))

    async def tokens(self) -> set[str]:
        return {await sidecar.token() for sidecar in self.sidecars}

    def put(self, key: str, secret: str = "") -> None:
        for sidecar in self.sidecars:
            sidecar.put(key, secret)

    def cut(self) -> None:
        """Cut all of them off the store."""
        self._cut = True
        for sidecar in self.sidecars:
            for wire in sidecar.wires:
                wire.cut = True

    async def stop(self) -> None:
        await asyncio.gather(*(sidecar.stop() for sidecar in self.sidecars))


def named(account: str) -> Profile:
    return replace(PROFILE, account=f"name:{account}")
