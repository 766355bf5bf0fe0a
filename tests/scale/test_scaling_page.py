"""The figures of docs/scaling.md that can be measured again in seconds: counts and bytes, no times."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sidecar.app.clock import SystemClock
from sidecar.config.schema import SETTINGS
from sidecar.stores.redis.replaceable_pool import MAX_CONNECTIONS
from sidecar.stores.redis.store import RedisStore
from sidecar.stores.sealing import AesSealer
from tests.scale import real, simulated
from tests.scale.capacity import PROFILE, SEAL_KEY, kinds_of
from tests.scale.reading import Meter
from tests.servers import RedisServer
from tests.support.store_urls import redis_url

TOP = Path(__file__).parents[2]
PAGE = (TOP / "docs/scaling.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """Return the table whose heading begins with `heading`, with thousands without commas."""
    table = PAGE.split(f"| {heading}", 1)[1].split("\n\n", 1)[0]
    plain = re.sub(r"(?<=\d),(?=\d)", "", table)
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in plain.splitlines()[2:]]


@pytest.mark.parametrize(("replicas", "call_s"), [(10, 0.2), (10, 2), (100, 0.2), (100, 2)])
def test_a_simulated_rotation_costs_what_the_page_says(replicas: int, call_s: float) -> None:
    rotation = simulated.simulate(replicas, call_s=call_s)
    row_of_page = next(
        row for row in rows("replicas | the partner answers") if row[:2] == [str(replicas), f"after {call_s:g} s"]
    )
    looks, claims, held, calls, _, in_1_s, in_0_1_s = map(float, row_of_page[2:])
    assert rotation.per_replica("peek") == pytest.approx(looks, rel=0.1)
    assert rotation.tally.kinds["claim"] == pytest.approx(claims, abs=2 + replicas / 20)
    assert rotation.tally.outcomes["Held"] == pytest.approx(held, abs=2 + replicas / 20)
    assert rotation.calls == calls == 1
    assert rotation.tally.most_within(1) == pytest.approx(in_1_s, rel=0.1)
    assert rotation.tally.most_within(0.1) == pytest.approx(in_0_1_s, rel=0.1)


async def test_an_operation_of_each_kind_has_the_bytes_the_page_says(own_redis_server: RedisServer) -> None:
    store = RedisStore(redis_url(own_redis_server.url), timeout_s=5, sealer=AesSealer([SEAL_KEY]), clock=SystemClock())
    with Meter(own_redis_server) as meter:
        kinds, _ = await kinds_of(meter, store.shared_state(PROFILE), times=20)
        profile_bytes = meter.profile_bytes()
    await store.close()
    on_page = {row[0]: (float(row[1]), float(row[2])) for row in rows("operation | bytes in")}
    assert {kind.name for kind in kinds} == on_page.keys()
    for kind in kinds:
        assert (kind.in_bytes, kind.out_bytes) == pytest.approx(on_page[kind.name], rel=0.1), kind.name
    # The rounding of the allocator depends on the server.
    assert profile_bytes == pytest.approx(
        float(re.findall(r"([\d,]+) bytes of Redis", PAGE)[0].replace(",", "")), rel=0.5
    )


def test_the_bytes_of_a_rotation_follow_from_those_of_its_operations() -> None:
    size = {row[0]: float(row[1]) + float(row[2]) for row in rows("operation | bytes in")}
    # The most it can be: as if there were a lease all the time.
    look = size["look, nothing new"] + float(re.findall(r"answer (\d+) bytes longer", PAGE)[0])
    for row in rows("replicas | the partner answers"):
        replicas, looks, claims, on_page = float(row[0]), float(row[2]), float(row[3]), float(row[6])
        computed = (looks - 1) * look + size["look that brings the token"] + claims / replicas * size["claim, held"]
        assert on_page == pytest.approx(computed, rel=0.05), row


def test_the_commands_and_settings_on_the_page_exist() -> None:
    made = re.findall(r"^([a-z]+):", (TOP / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"`make ([a-z]+)", PAGE)) <= set(made)
    assert set(re.findall(r"SIDECAR_[A-Z_]+", PAGE)) <= {setting.name for setting in SETTINGS}


def test_the_connections_are_the_stores_own() -> None:
    assert f"{MAX_CONNECTIONS} at most for many" in PAGE


def test_every_table_of_figures_names_the_command_that_gave_it() -> None:
    sizes = " ".join(row[0] for row in rows("replicas | operations a second"))
    assert f'`make scale ARGS="real {sizes}"`' in PAGE
    simulated_sizes = " ".join(dict.fromkeys(row[0] for row in rows("replicas | the partner answers")))
    assert f'`make scale ARGS="simulated {simulated_sizes}"`' in PAGE
    assert '`make scale ARGS="capacity"`' in PAGE
    assert f"a lifetime of {real.LIFETIME_S} s" in PAGE
