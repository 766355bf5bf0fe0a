"""Signatures: the partner's published one, and what goes into one."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import replace

import pytest

from sidecar.core.model import Secret
from sidecar.core.signing import PublishedSignature, SigningRecipe, holds, sign, signature_of
from sidecar.core.timestamps import iso_ms

RECIPE = SigningRecipe()
PUBLISHED = PublishedSignature(
    key="hCyO_Flnu6aid-bhFYTYOowkxXRzoZkgzO32rB6Ik8Y",
    timestamp="2025-03-17T08:10:52.544247646Z",
    body=(
        '{"countryCode":"NG","currencyCode":"NGN","amount":100,"partnerReference":"4a662291-2840-4bcd-aae9-553ab24601ed",'
        '"callbackSuccessUrl":"<https://callback.success","callbackFailureUrl":"https://callback.failure",'
        '"callbackPendingUrl":"https://callback.pending","callbackCancelUrl":"https://callback.cancel",'
        '"webhookUrl":"https://webhook.success",'
        '"products":[{"title":"10> Credits","sku":"12345","price":100,"quantity":1,"currencyCode":"NGN"}],'
        '"metadata":[{"key":"customerId","value":"1"}]}'
    ),
    signature="85aa0862aa052f737d3cf4d38f92091ea7c015e782d207ea18cc5641d3e47755",
)


def test_the_published_signature_is_reproduced() -> None:
    assert holds(RECIPE, PUBLISHED)


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
    made = sign(RECIPE, Secret("key"), b"body", 1_767_225_607.4129)
    assert made.timestamp == "2026-01-01T00:00:07.412Z"
    assert made.signature == signature_of(RECIPE, Secret("key"), "2026-01-01T00:00:07.412Z", b"body")


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
