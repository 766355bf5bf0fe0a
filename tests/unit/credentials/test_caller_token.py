"""The tokens that callers may present, and the form of their file."""

from __future__ import annotations

import hmac
from pathlib import Path

import pytest

from sidecar.core.errors import ConfigurationError
from sidecar.core.model import Secret
from sidecar.credentials.caller_token import CallerTokens, read_caller_tokens

FIRST, SECOND, THIRD = "first-caller-token", "second-caller-token", "third-caller-token"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "caller-token"
    path.write_text(f"  {FIRST}\n")
    return path


def test_a_line_has_16_to_4096_visible_ascii_characters(file: Path) -> None:
    longest = "".join(chr(code) for code in range(0x21, 0x7F)) * 43 + "a" * 54
    file.write_text(f"{'a' * 16}\n{longest}\n")
    assert [len(token.reveal()) for token in read_caller_tokens(file)] == [16, 4096]


def test_every_invalid_line_is_named_by_number_and_not_shown(file: Path) -> None:
    lines = [
        "a" * 15, FIRST, "canary " * 4, "canary-" * 4 + "é", "canary\u200b" * 4, "a" * 4097, f'"{SECOND}"', "c\0" * 9
    ]  # fmt: skip
    file.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        read_caller_tokens(file)
    where = f"SIDECAR_CALLER_TOKEN_FILE: {file}, line"
    assert caught.value.problems == (
        f"{where} 1: shorter than 16 characters",
        f"{where} 3: has a space or a character beyond ASCII",
        f"{where} 4: has a space or a character beyond ASCII",
        f"{where} 5: has an invisible character (U+200B)",
        f"{where} 6: longer than 4096 characters",
        f"{where} 7: has quotes around it",
        f"{where} 8: has a control character",
    )


@pytest.mark.parametrize("offered", ["", "x", FIRST, SECOND, FIRST[:-1], FIRST * 100, "\udcff"])
def test_every_token_is_compared_in_constant_time(offered: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a comparison of constant time for texts of one length, which gets texts of one length, and all tokens."""
    tokens = CallerTokens([Secret(FIRST), Secret(SECOND), Secret(THIRD)])
    compared: list[tuple[int, int]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert tokens.accept(offered) == (offered in (FIRST, SECOND))
    assert compared == [(32, 32)] * 3


def test_tokens_are_not_in_the_repr() -> None:
    assert FIRST not in repr(CallerTokens([Secret(FIRST)]))
