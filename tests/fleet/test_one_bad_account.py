"""One of two accounts cannot get a token: the pod stays in service for the other."""

from __future__ import annotations

from pathlib import Path

from tests.support.processes import Fleet
from tests.support.raw_partner import raw_partner, say_nothing
from tests.support.replica import Replica, until


def two_profiles(fleet: Fleet, bad_url: str) -> str:
    """A file with the profile `good`, and with `bad` of the same partner or of another one."""
    wrong = fleet.folder / "wrong"
    wrong.mkdir()
    (wrong / "api-key").write_text("revoked-key")
    (wrong / "api-secret").write_text("revoked-secret")
    path: Path = fleet.folder / "two.toml"
    path.write_text(
        f'[profiles.good]\nbase_url = "{fleet.partner_url}"\ncredentials_dir = "{fleet.folder}/credentials"\n'
        f'[profiles.bad]\nbase_url = "{bad_url}"\ncredentials_dir = "{wrong}"\npartner_timeout_s = 1\n'
    )
    for name in ("SIDECAR_CREDENTIALS_DIR", "SIDECAR_BASE_URL"):
        del fleet.settings[name]
    return str(path)


async def reason(replica: Replica, profile: str) -> str | None:
    given: str | None = (await replica.admin(f"/readyz/{profile}")).body["profiles"][profile]["reason"]
    return given


async def test_a_revoked_key_takes_only_its_own_profile_out_of_service(fleet: Fleet) -> None:
    (replica,) = await fleet.start(1, CONFIG=two_profiles(fleet, fleet.partner_url))
    await until(replica.ready)
    assert [(await replica.admin(f"/readyz/{name}")).status for name in ("good", "bad")] == [200, 503]
    assert await reason(replica, "bad") == "credentials-rejected"
    assert (await replica.admin("/startupz")).status == 200
    assert (await replica.ask("/v1/token/good")).status == 200


async def test_a_partner_that_hangs_takes_only_its_own_profile_out_of_service(fleet: Fleet) -> None:
    async with raw_partner() as partner:
        partner.play = say_nothing
        (replica,) = await fleet.start(1, CONFIG=two_profiles(fleet, partner.url))
        await until(replica.ready)
        assert partner.received, "the sidecar waited for the first outcome"
        assert (await replica.admin("/readyz/bad")).status == 503
        assert (await replica.ask("/v1/token/good")).status == 200
