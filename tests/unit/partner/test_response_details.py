"""The text of a partner about a failure may be echoed input of any type and length."""

from __future__ import annotations

import base64
from urllib.parse import quote, quote_plus

import pytest

from sidecar.core.errors import MAX_TEXT_CHARS
from sidecar.partner.response import read_detail
from tests.support.partners import PAY1ST


def message(text: object, *secrets: str, **other: object) -> str:
    return read_detail(400, {"errorMessage": text, **other}, secrets, PAY1ST).error_message


@pytest.mark.parametrize(
    "echo",
    [
        "{secret}",
        "wrong secret {secret}!",
        "{secret}{secret}",
        "key:{secret}",
        "{b64}",
        "q={quoted}",
        "q={plus}",
        "{secret}" + "x" * 300,
        "x" * 10 + " " * (MAX_TEXT_CHARS - 14) + "{secret}",
    ],
)
@pytest.mark.parametrize("secret", ["s3cr3t", "pässwörd €", "a b+c/d", "zero\u200bwidth"])
def test_an_echoed_secret_is_masked_in_every_encoding(echo: str, secret: str) -> None:
    text = echo.format(
        secret=secret,
        b64=base64.b64encode(secret.encode()).decode(),
        quoted=quote(secret, safe=""),
        plus=quote_plus(secret),
    )
    shown = message(text, secret)
    assert secret[:4] not in shown
    assert base64.b64encode(secret.encode()).decode()[:4] not in shown


def test_removing_control_characters_does_not_join_the_parts_of_a_secret() -> None:
    assert "s3cr3t" not in message("s3\x00cr\x1b3t", "s3cr3t")


def test_the_longer_secret_is_masked_first() -> None:
    assert message("abcdef", "abc", "abcdef") == "***"


def test_the_tokens_of_the_response_itself_are_masked() -> None:
    assert message("you get tok-1 and ref-1", accessToken="tok-1", refreshToken="ref-1") == "you get *** and ***"


def test_an_unknown_word_as_long_as_a_token_is_masked() -> None:
    assert message("expired: " + "Ab1/" * 171 + " today") == "expired: *** today"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, ""),
        (["a"], ""),
        ({"a": 1}, ""),
        (4010, "4010"),
        ("", ""),
        ("two\nlines\tand\x1b[31m", "two lines and [31m"),
        ("\ud800", " "),
        ("x " * 200, ("x " * 200)[:MAX_TEXT_CHARS]),
    ],
)
def test_values_of_any_type_become_printable_bounded_texts(value: object, text: str) -> None:
    assert message(value) == text


def test_every_field_is_treated_alike() -> None:
    detail = read_detail(500, {"errorCode": "c s3cr3t", "sessionId": "i s3cr3t\n"}, ["s3cr3t", ""], PAY1ST)
    assert (detail.error_code, detail.session_id, detail.error_message) == ("c ***", "i *** ", "")


@pytest.mark.parametrize(
    "echo", ["Authorization: Basic a2V5LWZvci10aGU", "got basic   a2V5LWZvci10aGU,", "Bearer a2V5LWZvci10aGU"]
)
def test_a_part_of_an_echoed_authorization_header_is_masked_too(echo: str) -> None:
    shown = message(echo)
    assert "a2V5" not in shown
    assert "***" in shown
