"""A secret is masked in a partner's text in each form that it can be decoded from. Other words are not masked."""

from __future__ import annotations

import time
from urllib.parse import quote

import pytest

from sidecar.core.errors import MAX_TEXT_CHARS
from sidecar.partner.masking import MAX_SHOWN_CHARS, Masker
from sidecar.partner.response import read_detail
from tests.support.partners import PAY1ST
from tests.support.secret_encodings import rewritten

SECRET = "Kx7-q/3+Vb&'\"é\\2<Zw_9~"
TOKEN = "eyJhbGciOi/JFUzI1NiJ9+abc.Def=="
SECRETS = [SECRET, TOKEN, "kanary-api-secret-2fe3/+é", "50%41\\u0041&amp;off", "pässwörd €1", "8f14e45fceea167a"]
SOON_S = 5
"""Processor time, so that load on the machine counts little; and many times what an idle machine needs."""


def masked(text: str, *secrets: str) -> str:
    return Masker(secrets).mask(text)


@pytest.mark.parametrize("form", rewritten(SECRET))
@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_masked_in_every_form(secret: str, form: str) -> None:
    text = f"wrong: {rewritten(secret)[form]} (see the manual)"
    assert masked(text, secret, "another") == "wrong: *** (see the manual)"


@pytest.mark.parametrize("form", [form for form in rewritten("s3cr3t") if "hyphens" not in form])
def test_a_short_secret_is_masked_in_every_form_without_punctuation(form: str) -> None:
    text = f"wrong: {rewritten('s3cr3t')[form]} (see the manual)"
    assert masked(text, "s3cr3t") == "wrong: *** (see the manual)"


@pytest.mark.parametrize("token", [TOKEN, quote(TOKEN, safe=""), quote(TOKEN, safe="").lower()])
def test_a_token_in_a_checkout_link_is_masked_and_the_rest_of_the_link_is_not(token: str) -> None:
    link = f"https://pay.example/checkout?token={token}&session=4711"
    detail = read_detail(400, {"errorMessage": link, "accessToken": TOKEN}, (), PAY1ST)
    assert detail.error_message == "https://pay.example/checkout?token=***&session=4711"


@pytest.mark.parametrize("name", ["errorMessage", "errorCode", "sessionId"])
def test_no_field_of_a_partner_contains_a_form_of_a_secret(name: str) -> None:
    for text in rewritten(SECRET).values():
        detail = read_detail(401, {name: f"x: {text}"}, [SECRET], PAY1ST)
        assert detail.error_code + detail.error_message + detail.session_id == "x: ***"


@pytest.mark.parametrize(
    "text",
    [
        "The account is locked; ask support@partner.example for session 4711-A3.",
        "HTTP 401: invalid_client%20credentials &lt;API_USER&gt; caf\\u00e9 =41=42",
        "grant_type=client_credentials&client_id=another-key-entirely",
        "the secret of this key is wrong",
        "task 8f14 e45f",
        "Kx7-q/3+Vb",
        "a b c d e f g h",
        "id 616263",
    ],
)
def test_a_text_without_a_secret_is_unchanged(text: str) -> None:
    assert masked(text, *SECRETS, "s3cr3t", "ab") == text


@pytest.mark.parametrize(
    ("text", "secret"), [("in the end", "thee"), ("We TEST it", "test"), ("I-D: 1-2-3-4-5", "12345a")]
)
def test_words_that_resemble_a_short_secret_are_unchanged(text: str, secret: str) -> None:
    assert masked(text, secret) == text


def test_overlapping_secrets_are_masked_whole() -> None:
    assert masked("abcabcabcabcabc!", "abcabcabc") == "***!"
    assert masked("12345678abcdefgh", "12345678abcd", "5678abcdefgh") == "***"


def test_a_secret_longer_than_the_compared_part_is_masked_whole_or_to_where_it_was_cut_off() -> None:
    long = " ".join(f"w{number}q" for number in range(200))
    assert masked(f"got {long}, sorry", long) == "got ***, sorry"
    assert masked(f"got {long[:-200]}", long) == "got ***"


def test_a_secret_at_the_end_of_the_searched_part_is_not_shown_in_part() -> None:
    for before in range(MAX_SHOWN_CHARS - 40, MAX_SHOWN_CHARS + 5):
        shown = masked("- " * (before // 2) + " ".join(SECRET) + " -" * 3000, SECRET)
        assert set(shown) <= set("- *")


@pytest.mark.parametrize(
    "text", ["=%41", "%41", "%2541", "\\u0061", "&#97;", "&amp;", "aaaaaaaa", "=", "%", "\\", "&", "%é", "a ", "=41"]
)
def test_no_text_takes_long_to_be_searched(text: str) -> None:
    long = text * (1024 * 1024 // len(text))
    started = time.process_time()
    document = {"errorMessage": long, "errorCode": long, "sessionId": long, "accessToken": "a" * 4000}
    detail = read_detail(401, document, [*SECRETS, "aaaaaaaa", "a" * 64, "=" * 40], PAY1ST)
    assert time.process_time() - started < SOON_S
    assert len(detail.error_message) <= MAX_TEXT_CHARS
