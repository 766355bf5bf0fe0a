"""Signatures: the partner's published one, and what goes into one."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import replace

import pytest

from sidecar.core.model import Secret
from sidecar.core.signing import SigningRecipe, holds, signature_headers, signature_of
from sidecar.core.timestamps import iso_ms
from sidecar.partner.presets import PRESETS

PRESET = PRESETS["pay1st"]
assert PRESET.sign is not None
assert PRESET.sign_test is not None
RECIPE, PUBLISHED = PRESET.sign, PRESET.sign_test


def test_the_recipe_reproduces_the_published_signature_and_is_that_of_every_preset() -> None:
    assert holds(RECIPE, PUBLISHED)
    assert {preset.sign for preset in PRESETS.values()} == {RECIPE}


@pytest.mark.parametrize(
    "recipe",
    [
        replace(RECIPE, parts=("body", "timestamp")),
        replace(RECIPE, parts=("body",)),
        replace(RECIPE, encoding="base64"),
    ],
    ids=["other order", "no timestamp", "base64"],
)
def test_another_recipe_does_not_reproduce_it(recipe: SigningRecipe) -> None:
    assert not holds(recipe, PUBLISHED)


def test_the_encoding_is_of_the_digest() -> None:
    digest = hmac.new(b"key", b"2026body", hashlib.sha256).digest()
    made = signature_of(replace(RECIPE, encoding="base64"), Secret("key"), "2026", b"body")
    assert base64.b64decode(made) == digest


def test_timestamp_and_signature_are_of_one_moment() -> None:
    made = signature_headers(RECIPE, Secret("key"), b"body", 1_767_225_607.4129)
    timestamp = "2026-01-01T00:00:07.412Z"
    assert made == {"X-TIMESTAMP": timestamp, "X-SIGNATURE": signature_of(RECIPE, Secret("key"), timestamp, b"body")}


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1.0004, "1970-01-01T00:00:01.000Z"),
        (59.9999, "1970-01-01T00:00:59.999Z"),
        (-5, "1970-01-01T00:00:00.000Z"),
    ],
)
def test_milliseconds_are_rounded_down(at: float, text: str) -> None:
    assert iso_ms(at) == text
