"""Sealing at rest, and the key file."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from sidecar.core.errors import ConfigurationError
from sidecar.core.model import Secret
from sidecar.stores.sealing import AesSealer, OpenSealer, SealKey, UnsealError, load_seal_keys

ENCODED = [base64.b64encode(bytes([fill]) * 32).decode() for fill in range(4)]
ONE, TWO = (SealKey(key_id, Secret(ENCODED[number])) for number, key_id in enumerate(("one", "two")))


def test_a_sealed_text_opens_in_its_context() -> None:
    sealer = AesSealer([ONE])
    assert sealer.open(sealer.seal(b"plain", "here"), "here") == b"plain"


def test_a_sealed_text_is_ascii_names_its_key_and_is_never_the_same_twice() -> None:
    sealer = AesSealer([ONE])
    first, second = sealer.seal(b"plain", "here"), sealer.seal(b"plain", "here")
    assert first.startswith("aes:one:")
    assert first.isascii()
    assert first != second


def test_the_first_key_seals_and_all_open() -> None:
    old, rotated = AesSealer([ONE]), AesSealer([TWO, ONE])
    assert rotated.open(old.seal(b"plain", "here"), "here") == b"plain"
    assert rotated.seal(b"plain", "here").startswith("aes:two:")


def test_another_context_opens_nothing() -> None:
    sealer = AesSealer([ONE])
    with pytest.raises(UnsealError):
        sealer.open(sealer.seal(b"plain", "here"), "there")


def test_an_unknown_key_opens_nothing() -> None:
    with pytest.raises(UnsealError):
        AesSealer([TWO]).open(AesSealer([ONE]).seal(b"plain", "here"), "here")


def test_another_key_under_the_same_id_opens_nothing() -> None:
    impostor = AesSealer([SealKey("one", TWO.key)])
    with pytest.raises(UnsealError):
        impostor.open(AesSealer([ONE]).seal(b"plain", "here"), "here")


def test_a_changed_byte_opens_nothing() -> None:
    sealer = AesSealer([ONE])
    head, _, encoded = sealer.seal(b"plain", "here").rpartition(":")
    box = bytearray(base64.b64decode(encoded))
    box[-1] ^= 1
    with pytest.raises(UnsealError):
        sealer.open(f"{head}:{base64.b64encode(box).decode()}", "here")


@pytest.mark.parametrize("text", ["", "aes", "aes:one", "aes:one:", "aes:one:!!", "aes:one:AAAA", "gcm:one:AAAA", "é"])
def test_a_text_of_another_form_opens_nothing(text: str) -> None:
    with pytest.raises(UnsealError):
        AesSealer([ONE]).open(text, "here")


def test_unencrypted_and_sealed_texts_are_not_accepted_for_each_other() -> None:
    open_sealer, aes = OpenSealer(), AesSealer([ONE])
    assert open_sealer.open(open_sealer.seal(b"plain", "here"), "here") == b"plain"
    assert open_sealer.seal(b"plain", "here").startswith("open:")
    with pytest.raises(UnsealError):
        aes.open(open_sealer.seal(b"plain", "here"), "here")
    with pytest.raises(UnsealError):
        open_sealer.open(aes.seal(b"plain", "here"), "here")


def test_an_unencrypted_text_that_is_not_base64_is_refused() -> None:
    with pytest.raises(UnsealError):
        OpenSealer().open("open:!!", "here")


def test_a_key_file_gives_its_keys_in_order(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_bytes(f"\ufeff# rotation of March\n\n  new: {ENCODED[0]}  \r\n{ENCODED[1]}\n".encode())
    keys = load_seal_keys(path)
    assert [key.key.reveal() for key in keys] == ENCODED[:2]
    assert keys[0].key_id == "new"
    assert len(keys[1].key_id) == 8
    assert AesSealer(keys).seal(b"", "here").startswith("aes:new:")


def test_a_key_without_an_id_has_the_same_name_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(ENCODED[2])
    assert load_seal_keys(path)[0].key_id == load_seal_keys(path)[0].key_id == "71382f71"


def test_every_problem_is_named_by_file_and_line_and_never_by_content(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    short = base64.b64encode(b"canary").decode()
    path.write_text(f"canary!\n{short}\nbad id: {ENCODED[0]}\none: {ENCODED[1]}\none: {ENCODED[2]}\n: {ENCODED[3]}\n")
    with pytest.raises(ConfigurationError) as caught:
        load_seal_keys(path)
    assert [problem.rpartition(": ")[0] for problem in caught.value.problems] == [
        f"SIDECAR_SEAL_KEY_FILE: {path}, line {number}" for number in (1, 2, 3, 5, 6)
    ]
    for content in ("canary", short, "bad id", *ENCODED):
        assert content not in str(caught.value)


def test_quotes_and_invisible_characters_in_a_key_are_named(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"'{ENCODED[0]}'\none: \"{ENCODED[1]}\"\n{ENCODED[2]}\u200b\n", encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_seal_keys(path)
    assert caught.value.problems == (
        f"SIDECAR_SEAL_KEY_FILE: {path}, line 1: has quotes around it",
        f"SIDECAR_SEAL_KEY_FILE: {path}, line 2: has quotes around it",
        f"SIDECAR_SEAL_KEY_FILE: {path}, line 3: has an invisible character (U+200B)",
    )


@pytest.mark.parametrize("content", [b"", b"# nothing\n\n"])
def test_a_file_without_a_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "keys"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="no key in it"):
        load_seal_keys(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    binary = tmp_path / "keys"
    binary.write_bytes(b"\xff\xfe")
    for path in (tmp_path / "missing", binary, tmp_path):
        with pytest.raises(ConfigurationError, match=str(path)):
            load_seal_keys(path)


def test_a_key_is_not_in_its_repr() -> None:
    assert ENCODED[0] not in repr(ONE)
