"""Which credentials of one account are used, and which ids are remembered."""

from __future__ import annotations

from dataclasses import replace

from sidecar.core.events import SigningKeyChanged
from sidecar.core.model import Credentials, Secret
from sidecar.vending.credential_rotation import CredentialRotation
from tests.support.key_fleet import Files, credentials_with
from tests.support.sink import ListSink


def a_rotation(files: Files) -> CredentialRotation:
    return CredentialRotation("default", files, ListSink())


def ids(*all_credentials: Credentials) -> list[str]:
    return [each.credentials_id for each in all_credentials]


def test_the_number_of_remembered_ids_is_bounded() -> None:
    files = Files(credentials_with("key", "secret-1"))
    rotation = a_rotation(files)
    rotation.prove(ids(files.credentials))
    for number in range(10_000):
        rotation.prove([f"other-{number}"])
    assert len(rotation._proven) < 20
    assert not rotation.on_trial, "its own credentials are kept"


def test_credentials_that_the_fleet_has_proven_before_they_are_read_here_are_not_tried() -> None:
    files = Files(credentials_with("key", "secret-1"))
    rotation, newer = a_rotation(files), credentials_with("key", "secret-2")
    rotation.prove(ids(files.credentials, newer))
    files.credentials = newer
    rotation.reload()
    assert rotation.pick([]) is newer
    assert not rotation.on_trial


def test_the_previous_credentials_are_used_until_the_newest_have_obtained_a_token() -> None:
    first, second = credentials_with("key", "secret-1"), credentials_with("key", "secret-2")
    files = Files(first)
    rotation = a_rotation(files)
    rotation.prove(ids(first))
    files.credentials = second
    rotation.reload()
    assert (rotation.pick([]), rotation.pick(ids(second))) == (second, first)
    rotation.prove(ids(second))
    assert rotation.pick(ids(second)) is None


def with_signing_key(key: str | None) -> Credentials:
    return replace(credentials_with("key", "secret"), signing_key=None if key is None else Secret(key))


def test_another_signing_key_beside_the_same_credentials_is_used_and_told_once() -> None:
    sink, files = ListSink(), Files(with_signing_key("one"))
    rotation = CredentialRotation("default", files, sink)
    for key in ("one", "two", "two", None, "two"):
        files.credentials = with_signing_key(key)
        rotation.reload()
        assert rotation.newest is files.credentials
    changes = [event.present for event in sink.of(SigningKeyChanged)]
    assert changes == [True, False, True]
    assert len(sink.events) == len(changes), "the credentials did not change"
