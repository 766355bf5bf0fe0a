"""Our signatures are those that `openssl dgst -hmac` makes, which is what integrators compare with."""

from __future__ import annotations

import random
import subprocess

import pytest

from sidecar.core.model import Secret
from sidecar.core.signing import signature_of
from sidecar.partner.presets import PRESETS


@pytest.mark.parametrize("seed", range(8))
def test_random_bodies_have_the_signature_that_openssl_makes(seed: int) -> None:
    dice = random.Random(seed)
    key = "".join(dice.choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", k=43))
    timestamp, body = "2026-01-01T00:00:07.412Z", dice.randbytes(dice.choice((0, 1, 63, 64, 65, 1000, 100_000)))
    done = subprocess.run(
        ["openssl", "dgst", "-sha256", "-hmac", key, "-r"],
        input=timestamp.encode() + body,
        capture_output=True,
        check=True,
    )
    recipe = PRESETS["pay1st"].sign
    assert recipe is not None
    assert signature_of(recipe, Secret(key), timestamp, body) == done.stdout.split()[0].decode()
