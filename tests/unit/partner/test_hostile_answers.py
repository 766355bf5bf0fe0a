"""What a partner who means harm can put into a whole answer: no more than a failure of a known kind comes of it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress

import pytest
from multidict import CIMultiDict

from sidecar.core.errors import MAX_TEXT_CHARS, FailureKind, PartnerError
from sidecar.core.model import PartnerToken, Secret
from sidecar.core.policy import MAX_RETRY_AFTER_S
from sidecar.partner.lifetime import MAX_LIFETIME_S
from sidecar.partner.response import MAX_BODY_BYTES, Answer, read_answer, read_detail
from sidecar.partner.retry_after import RESET_HEADERS

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z
SOON_S = 0.5
"""Of the processor's time: how busy others keep it does not count."""

DATES = [
    None, "", "yesterday", "x" * 8000, "\udcff", "Fri, 31 Dec 9999 23:59:59 GMT", "Sat, 01 Jan 0000 00:00:00 GMT",
    "Mon, 01 Jan 0001 00:00:00 GMT", "Sat, 31 Dec 2016 23:59:60 GMT", "Sat, 99 Jan 2026 00:00:00 GMT",
    "Thu, 01 Jan 2026 00:00:00 GMT",
]  # fmt: skip
VALUES: list[object] = [
    0, -1, 1, 10**18, 10**400, 1e308, -1e308, 5e-324, float("inf"), float("nan"), True, False, None, [1], {"a": 1}, "",
    "1e309", "NaN", "-0", "0x10", "١٢", "9" * 5000, "9" * 15 + "." + "9" * 15, "\ud800", "2026-01-01\x00",
    "9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999-23:59", "0001-01-01T00:00:00+23:59", "0000-01-01",
    "-0001-01-01", "2026-W01-1", "20260101", "2026-01-01T24:00:00", "2026-01-01T00:00:60Z", "2026-01-01T00:00:00+99:99",
]  # fmt: skip


def text_of(document: object) -> bytes:
    """JSON, with whole numbers that Python itself would not print."""
    big = "9" * 5000
    return json.dumps(document, default=str).replace(f'"{big}"', big).encode(errors="surrogatepass")


def jwt(claims: object) -> str:
    return f"a.{base64.urlsafe_b64encode(text_of(claims)).decode().rstrip('=')}.c"


def answer(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, CIMultiDict(headers or {}), body)


def read(body: bytes) -> PartnerToken:
    return read_answer(answer(body), "R", NOW)


def outcome_of(given: Answer) -> PartnerToken | PartnerError:
    try:
        return read_answer(given, "R", NOW)
    except PartnerError as error:
        return error


def every_place(value: object, date: str | None) -> Iterator[Answer]:
    """The value wherever it may be looked for, beside an answer's `Date`."""
    headers = {} if date is None else {"Date": date}
    good = {"role": "R", "accessToken": "a"}
    with suppress(ValueError):  # a number longer than Python prints
        for name in ("expiresIn", "expires_in", "expiresAt", "expires_at"):
            yield answer(text_of({**good, name: value}), headers=headers)
        for name in ("exp", "iat"):
            yield answer(text_of({**good, "accessToken": jwt({"exp": NOW + 60, name: value})}), headers=headers)
        for name in ("errorMessage", "errorCode", "sessionId", "accessToken", "role"):
            yield answer(text_of({name: value}), 401, headers)
        for status in (429, 503):
            yield answer(b"", status, {**headers, "Retry-After": str(value)})
        for name in RESET_HEADERS:
            yield answer(b"", 429, {**headers, name: str(value)})


@pytest.mark.parametrize("date", DATES, ids=lambda date: repr(date)[:24])
@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:24])
def test_no_value_anywhere_makes_more_than_a_bounded_life_or_wait(value: object, date: str | None) -> None:
    for given in every_place(value, date):
        outcome = outcome_of(given)
        if isinstance(outcome, PartnerToken):
            assert outcome.lifetime_s is None or 0 < outcome.lifetime_s <= MAX_LIFETIME_S
            continue
        assert outcome.retry_after_s is None or 0 < outcome.retry_after_s <= MAX_RETRY_AFTER_S
        assert outcome.detail is not None
        assert len(outcome.detail.error_message) <= MAX_TEXT_CHARS
        assert outcome.detail.error_message.isprintable()


GOOD = b'{"role": "R", "accessToken": "good"}'


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf" * 2 + GOOD, GOOD.decode().encode("utf-16"), GOOD.decode().encode("utf-32"), b"\x00" + GOOD,
        GOOD + b"\x00",
        GOOD + GOOD, b"9" * 60_000, b"-" * 60_000, b'"' + b"\\u0000" * 10_000 + b'"', b"NaN", b"1e309",
        b'{"role": 1e309, "accessToken": "good"}', b'{"role": NaN, "accessToken": "good"}',
        b'{"role": "R", "accessToken": ' + b"[" * 60_000, b'{"role": "R", "accessToken": "\\u0000good"}',
        b'{"role": "R", "accessToken": "good\\ud800"}', b'{"role": "R", "accessToken": 1e309}',
    ],
    ids=lambda body: repr(body[:24]),
)  # fmt: skip
def test_an_answer_in_another_writing_is_malformed(body: bytes) -> None:
    started = time.process_time()
    with pytest.raises(PartnerError) as caught:
        read(body)
    assert caught.value.kind is FailureKind.MALFORMED
    assert time.process_time() - started < SOON_S


def test_of_a_name_given_twice_the_last_counts_and_alone() -> None:
    token = read(
        b'{"role": "X", "accessToken": "one", "expiresIn": 9, "role": "R", "accessToken": "two", "expiresIn": 60}'
    )
    assert (token.access, token.lifetime_s) == (Secret("two"), 60)


def test_what_is_beside_the_token_costs_no_more_than_its_length() -> None:
    names = b", ".join(b'"%d": 1e309' % number for number in range(3_000))
    started = time.process_time()
    assert read(GOOD[:-1] + b", " + names + b"}").access == Secret("good")
    assert time.process_time() - started < SOON_S


def test_a_claim_that_is_no_number_to_python_does_not_hide_the_tokens_end() -> None:
    claims = b'{"exp": %d, "later": %s}' % (NOW + 600, b"9" * 5000)
    access = f"a.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.c"
    assert read(text_of({"role": "R", "accessToken": access})).lifetime_s == 600


@pytest.mark.parametrize(
    "claims", [{"exp": "x", "pad": "y" * 11_000}, [[[]]], {"exp": [NOW]}, {"exp": {}}, {"exp": None}]
)
def test_claims_that_are_none_declare_nothing(claims: object) -> None:
    assert read(text_of({"role": "R", "accessToken": jwt(claims)})).lifetime_s is None


def test_an_end_before_the_tokens_own_beginning_declares_nothing_by_it() -> None:
    access = jwt({"exp": NOW + 600, "iat": NOW + 700})
    assert read(text_of({"role": "R", "accessToken": access})).lifetime_s == 600


@pytest.mark.parametrize(
    "text", ["x" * 63 + " ", "bearer ", "bearer" + " " * 60_000, "basic\t", " ", "\ud800", "\x00", "*"]
)
def test_no_message_takes_long_to_be_made_fit_for_a_log(text: str) -> None:
    long = text * (MAX_BODY_BYTES // len(text))
    started = time.process_time()
    document = {"errorMessage": long, "errorCode": long, "sessionId": long, "accessToken": "*", "refreshToken": "**"}
    detail = read_detail(401, document, ("canary",))
    assert time.process_time() - started < SOON_S
    assert max(map(len, (detail.error_message, detail.error_code, detail.session_id))) <= MAX_TEXT_CHARS


@pytest.mark.parametrize("values", [("1e309", "7"), ("-1", "7"), ("Fri, 31 Dec 1993 23:59:59 GMT", "7")])
def test_of_several_waits_the_first_counts_and_an_unusable_one_is_none(values: tuple[str, ...]) -> None:
    headers = CIMultiDict([("Retry-After", value) for value in values])
    with pytest.raises(PartnerError) as caught:
        read_answer(Answer(429, headers), "R", NOW)
    assert (caught.value.kind, caught.value.retry_after_s) == (FailureKind.THROTTLED, None)
