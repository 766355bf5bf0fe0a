"""Real sidecars sign: with the key of the mounted file, and with timestamps that the partner accepts."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.core.model import Secret
from tests.servers import RedisServer
from tests.support.processes import CONFIG, KEY, SECRET, Fleet, open_fleet
from tests.support.programs import needs
from tests.support.replica import Replica, until
from tests.support.sandbox_payments import CREATE, PAYMENT_TYPE, payment
from tests.support.wall_clock import WallClock

FIRST, SECOND = "the-first-signing-key", "the-second-signing-key"
NOISE_S = 60
"""Less than any step of a clock."""


async def signs_with(replica: Replica, key: str, body: bytes = b'{"amount": 1}') -> bool:
    """Return whether the signature is made with this key. Fails when there is none."""
    answer = await replica.post("/v1/sign", data=body)
    assert answer.status == 200, answer.text
    headers = answer.body["headers"]
    made = hmac.new(key.encode(), headers["X-TIMESTAMP"].encode() + body, hashlib.sha256).hexdigest()
    return bool(headers["X-SIGNATURE"] == made)


async def test_another_signing_key_is_used_once_its_file_changes(fleet: Fleet) -> None:
    fleet.mount(KEY, SECRET, **{"signing-key": FIRST})
    (replica,) = await fleet.ready(1, POLL_S="60", LOG_LEVEL="debug")
    token_id = (await replica.ask()).token_id
    assert await signs_with(replica, FIRST)
    assert (await replica.status())["signingKey"] is True

    fleet.mount(KEY, SECRET, **{"signing-key": SECOND})
    replica.signal(signal.SIGHUP)
    await until(lambda: bool(replica.events("signing_key_changed")))
    assert await signs_with(replica, SECOND)

    fleet.mount(KEY, SECRET)
    replica.signal(signal.SIGHUP)
    await until(lambda: len(replica.events("signing_key_changed")) == 2)
    assert (await replica.post("/v1/sign", data=b"{}")).code == "signing-not-configured"
    assert [event["present"] for event in replica.events("signing_key_changed")] == [True, False]
    assert (await replica.status())["signingKey"] is False

    assert await replica.metric("signatures_total", profile="default") == 2
    assert (await replica.ask()).token_id == token_id
    assert len(fleet.calls) == 1, "another signing key costs no call"
    assert not replica.events("credentials_changed")
    assert not any(key in replica.output for key in (FIRST, SECOND))


async def test_long_bodies_are_signed_while_others_get_their_tokens(fleet: Fleet) -> None:
    fleet.mount(KEY, SECRET, **{"signing-key": FIRST})
    (replica,) = await fleet.ready(1)
    bodies = [os.urandom(1 << 20) for _ in range(10)]
    signed, asked = await asyncio.gather(
        asyncio.gather(*(signs_with(replica, FIRST, body) for body in bodies)),
        asyncio.gather(*(replica.ask() for _ in range(50))),
    )
    assert all(signed)
    assert {answer.status for answer in asked} == {200}


@needs("curl")
async def test_the_commands_of_the_guide_create_a_payment(tmp_path: Path, redis_server: RedisServer) -> None:
    section = (Path(__file__).parents[2] / "deploy/README.md").read_text().split("### Signed requests", 1)[1]
    commands = "".join(line for line in section.split("###", 1)[0].splitlines(True) if line.startswith("    "))
    async with open_fleet(tmp_path, redis_server, replace(CONFIG, signing_key=Secret(FIRST))) as fleet:
        fleet.mount(KEY, SECRET, **{"signing-key": FIRST})
        (replica,) = await fleet.ready(1)
        shell = await asyncio.create_subprocess_exec(
            "sh", "-c", commands.replace("http://127.0.0.1:8181", replica.url), cwd=tmp_path, stdout=subprocess.PIPE,
            env={"PATH": os.defpath, "payment": json.dumps(payment("order")), "partner": fleet.partner_url},
        )  # fmt: skip
        output, _ = await shell.communicate()
        assert json.loads(output)["reference"].startswith("C-")


@pytest.fixture
async def shifted(tmp_path: Path, redis_server: RedisServer) -> AsyncIterator[tuple[Fleet, WallClock]]:
    """A fleet whose sidecars have a clock of their own."""
    async with open_fleet(tmp_path, redis_server, replace(CONFIG, signing_key=Secret(FIRST))) as fleet:
        fleet.mount(KEY, SECRET, **{"signing-key": FIRST})
        clock = WallClock(tmp_path)
        fleet.settings.update(clock.environ)
        yield fleet, clock


async def paid(fleet: Fleet, replica: Replica, reference: str) -> int:
    """Sign a payment and send it to the partner. Returns the partner's status, which is 400 for a stale timestamp."""
    body = json.dumps(payment(reference)).encode()
    signed = await replica.post("/v1/sign", data=body)
    assert signed.status == 200, signed.text
    headers = signed.body["headers"] | {"Content-Type": PAYMENT_TYPE}
    async with fleet.session.post(f"{fleet.partner_url}{CREATE}", data=body, headers=headers) as response:
        return response.status


@needs("faketime")
@pytest.mark.parametrize("ahead_s", [600, -600])
async def test_the_partner_accepts_every_timestamp_of_a_sidecar_with_a_wrong_clock(
    shifted: tuple[Fleet, WallClock], ahead_s: int
) -> None:
    """The clock is wrong from the start, then set right, then wrong the other way, with one measurement."""
    fleet, clock = shifted
    clock.step(ahead_s)
    (replica,) = await fleet.ready(1)
    for step_s in (ahead_s, 0, -ahead_s):
        clock.step(step_s)
        assert {await paid(fleet, replica, f"order {step_s} {number}") for number in range(10)} == {201}
        offset_s = await replica.metric("partner_clock_offset_seconds", profile="default")
        assert abs(offset_s + step_s) < NOISE_S
        assert abs((await replica.status())["partnerClockOffsetSeconds"] + step_s) < NOISE_S
    assert len(fleet.calls) == 1
    assert not replica.events("partner_clock_differs")


@needs("faketime")
@pytest.mark.parametrize("ahead_s", [600, -600])
async def test_a_wrong_clock_that_is_not_corrected_is_a_warning_and_signing_goes_on(
    shifted: tuple[Fleet, WallClock], ahead_s: int
) -> None:
    fleet, clock = shifted
    clock.step(ahead_s)
    (replica,) = await fleet.ready(1, CLOCK="local")
    assert await paid(fleet, replica, "order") == 400
    (warning,) = replica.events("partner_clock_differs")
    assert (warning["level"], warning["profile"]) == ("warning", "default")
    assert abs(warning["offset_s"] + ahead_s) < NOISE_S
