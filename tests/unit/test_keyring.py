"""Which pair of one account is used, and what is remembered of others."""

from __future__ import annotations

from sidecar.core.model import Credentials
from sidecar.vending.keyring import Keyring
from tests.fakes.key_fleet import Files, pair
from tests.fakes.sink import ListSink


def a_keyring(files: Files) -> Keyring:
    return Keyring("default", files, ListSink())


def ids(*pairs: Credentials) -> list[str]:
    return [each.credentials_id for each in pairs]


def test_ids_that_the_store_names_do_not_pile_up() -> None:
    files = Files(pair("key", "secret-1"))
    keyring = a_keyring(files)
    keyring.prove(ids(files.pair))
    for number in range(10_000):
        keyring.prove([f"somebody's-{number}"])
    assert len(keyring._proven) < 20
    assert not keyring.on_trial, "its own pair is not forgotten for them"


def test_a_pair_that_the_fleet_has_proven_before_the_file_came_here_is_not_tried() -> None:
    files = Files(pair("key", "secret-1"))
    keyring, newer = a_keyring(files), pair("key", "secret-2")
    keyring.prove(ids(files.pair, newer))
    files.pair = newer
    keyring.look()
    assert keyring.pick([]) is newer
    assert not keyring.on_trial


def test_the_pair_before_is_used_until_the_newest_has_obtained_a_token() -> None:
    first, second = pair("key", "secret-1"), pair("key", "secret-2")
    files = Files(first)
    keyring = a_keyring(files)
    keyring.prove(ids(first))
    files.pair = second
    keyring.look()
    assert (keyring.pick([]), keyring.pick(ids(second))) == (second, first)
    keyring.prove(ids(second))
    assert keyring.pick(ids(second)) is None
