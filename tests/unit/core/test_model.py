"""The records of the model, above all that a secret is never printed."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import traceback

import pytest

from sidecar.core.account import account_of_key
from sidecar.core.model import Address, Credentials, Secret, token_id_of
from sidecar.core.timestamps import iso, iso_or_none

CANARY = "canary-4711"


def test_a_secret_is_masked_wherever_it_could_be_printed() -> None:
    secret = Secret(CANARY)
    credentials = Credentials(api_key=secret, api_secret=secret, signing_key=secret)
    shown = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret:>20}",
        repr(credentials),
        repr(dataclasses.asdict(credentials)),
    ]
    assert all(CANARY not in text for text in shown)
    assert secret.reveal() == CANARY


def test_a_secret_refuses_pickling_but_may_be_copied() -> None:
    secret = Secret(CANARY)
    with pytest.raises(TypeError) as caught:
        pickle.dumps(secret)
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    assert copy.copy(secret) is copy.deepcopy(secret) is secret


def test_a_secret_cannot_be_the_key_of_a_dict() -> None:
    with pytest.raises(TypeError):
        hash(Secret(CANARY))


def test_secrets_compare_by_content() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"


def test_ids_differ_and_reveal_nothing() -> None:
    one = Credentials(api_key=Secret("ab"), api_secret=Secret("c"))
    other = Credentials(api_key=Secret("a"), api_secret=Secret("bc"))
    assert one.credentials_id != other.credentials_id
    assert token_id_of(Secret(CANARY)) == token_id_of(Secret(CANARY)) != token_id_of(Secret("x"))
    assert CANARY not in token_id_of(Secret(CANARY))


def test_credentials_belong_to_the_account_of_their_key_whatever_their_secret() -> None:
    one, other = (Credentials(api_key=Secret("key"), api_secret=Secret(secret)) for secret in ("old", "new"))
    assert one.account == other.account == account_of_key("key")
    assert one.credentials_id != other.credentials_id


@pytest.mark.parametrize(
    ("address", "written"),
    [
        (Address(host="127.0.0.1", port=8181), "127.0.0.1:8181"),
        (Address(host="::1", port=8181), "[::1]:8181"),
        (Address(path="/run/sidecar.sock"), "unix:/run/sidecar.sock"),
    ],
)
def test_an_address_is_written_in_the_form_of_the_settings(address: Address, written: str) -> None:
    assert str(address) == written


def test_instants_are_iso_8601_and_rounded_down() -> None:
    assert iso(1_767_225_600.999) == iso_or_none(1_767_225_600.999) == "2026-01-01T00:00:00Z"
    assert iso(1e15) == "9999-12-31T23:59:59Z"
    assert iso_or_none(0) is None
