"""Responses of a hostile partner: each becomes a token or a failure of a known kind, with bounded values."""

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
from sidecar.partner.response import MAX_BODY_BYTES, PartnerResponse, read_detail, read_response
from sidecar.partner.retry_after import RESET_HEADERS
from tests.support.partners import PAY1ST

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z
SOON_S = 5
"""Processor time, so that load on the machine counts little; and many times what an idle machine needs."""

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
    """Return JSON, with integers that Python itself does not print."""
    big = "9" * 5000
    return json.dumps(document, default=str).replace(f'"{big}"', big).encode(errors="surrogatepass")


def jwt(claims: object) -> str:
    return f"a.{base64.urlsafe_b64encode(text_of(claims)).decode().rstrip('=')}.c"


def response(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> PartnerResponse:
    return PartnerResponse(status, CIMultiDict(headers or {}), body)


def read(body: bytes) -> PartnerToken:
    return read_response(response(body), PAY1ST, "R", NOW)


def outcome_of(given: PartnerResponse) -> PartnerToken | PartnerError:
    try:
        return read_response(given, PAY1ST, "R", NOW)
    except PartnerError as error:
        return error


def every_place(value: object, date: str | None) -> Iterator[PartnerResponse]:
    """Yield a response with the value in each field and header that is read, and with this `Date`."""
    headers = {} if date is None else {"Date": date}
    good = {"role": "R", "accessToken": "a"}
    with suppress(ValueError):  # a number longer than Python prints
        for name in ("expiresIn", "expires_in", "expiresAt", "expires_at"):
            yield response(text_of({**good, name: value}), headers=headers)
        for name in ("exp", "iat"):
            yield response(text_of({**good, "accessToken": jwt({"exp": NOW + 60, name: value})}), headers=headers)
        for name in ("errorMessage", "errorCode", "sessionId", "accessToken", "role"):
            yield response(text_of({name: value}), 401, headers)
        for status in (429, 503):
            yield response(b"", status, {**headers, "Retry-After": str(value)})
        for name in RESET_HEADERS:
            yield response(b"", 429, {**headers, name: str(value)})


@pytest.mark.parametrize("date", DATES, ids=lambda date: repr(date)[:24])
@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:24])
def test_each_value_in_each_place_gives_a_bounded_lifetime_or_wait(value: object, date: str | None) -> None:
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
def test_a_response_in_another_encoding_is_malformed(body: bytes) -> None:
    started = time.process_time()
    with pytest.raises(PartnerError) as caught:
        read(body)
    assert caught.value.kind is FailureKind.MALFORMED
    assert time.process_time() - started < SOON_S


def test_the_last_of_two_fields_with_one_name_is_used() -> None:
    token = read(
        b'{"role": "X", "accessToken": "one", "expiresIn": 9, "role": "R", "accessToken": "two", "expiresIn": 60}'
    )
    assert (token.access, token.lifetime_s) == (Secret("two"), 60)


def test_other_fields_take_time_in_proportion_to_their_length() -> None:
    names = b", ".join(b'"%d": 1e309' % number for number in range(3_000))
    started = time.process_time()
    assert read(GOOD[:-1] + b", " + names + b"}").access == Secret("good")
    assert time.process_time() - started < SOON_S


def test_a_claim_too_long_for_a_python_number_does_not_hide_the_tokens_end() -> None:
    claims = b'{"exp": %d, "later": %s}' % (NOW + 600, b"9" * 5000)
    access = f"a.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.c"
    assert read(text_of({"role": "R", "accessToken": access})).lifetime_s == 600


@pytest.mark.parametrize(
    "claims", [{"exp": "x", "pad": "y" * 11_000}, [[[]]], {"exp": [NOW]}, {"exp": {}}, {"exp": None}]
)
def test_invalid_claims_declare_nothing(claims: object) -> None:
    assert read(text_of({"role": "R", "accessToken": jwt(claims)})).lifetime_s is None


def test_an_end_before_the_issue_time_is_counted_from_now() -> None:
    access = jwt({"exp": NOW + 600, "iat": NOW + 700})
    assert read(text_of({"role": "R", "accessToken": access})).lifetime_s == 600


@pytest.mark.parametrize(
    "text", ["x" * 63 + " ", "bearer ", "bearer" + " " * 60_000, "basic\t", " ", "\ud800", "\x00", "*"]
)
def test_no_message_takes_long_to_sanitize(text: str) -> None:
    long = text * (16 * MAX_BODY_BYTES // len(text))
    started = time.process_time()
    document = {"errorMessage": long, "errorCode": long, "sessionId": long, "accessToken": "*", "refreshToken": "**"}
    detail = read_detail(401, document, ("canary",), PAY1ST)
    assert time.process_time() - started < SOON_S
    assert max(map(len, (detail.error_message, detail.error_code, detail.session_id))) <= MAX_TEXT_CHARS


@pytest.mark.parametrize("values", [("1e309", "7"), ("-1", "7"), ("Fri, 31 Dec 1993 23:59:59 GMT", "7")])
def test_only_the_first_of_several_waits_is_used_even_if_it_is_unusable(values: tuple[str, ...]) -> None:
    headers = CIMultiDict([("Retry-After", value) for value in values])
    with pytest.raises(PartnerError) as caught:
        read_response(PartnerResponse(429, headers), PAY1ST, "R", NOW)
    assert (caught.value.kind, caught.value.retry_after_s) == (FailureKind.THROTTLED, None)
