"""The waits that a partner may request, as seconds and as HTTP dates."""

from __future__ import annotations

import time

import pytest

from sidecar.partner.retry_after import parse_http_date, parse_retry_after, requested_wait_s

NOW = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        ("1", 1),
        (" 30 ", 30),
        ("007", 7),
        ("86400", 86_400),
        ("86401", 86_400),
        ("9" * 100_000, 86_400),
        ("12.0", 12),
        ("12.", 12),
        ("12.5", 13),
        ("0.0001", 1),
        ("300, 300", 300),
        ("300 ,300,\t300", 300),
        ("Sun, 06 Nov 1994 08:50:37 GMT", 60),
        ("Sunday, 06-Nov-94 08:50:37 GMT", 60),
        ("Sun Nov  6 08:50:37 1994", 60),
        ("Sun, 06 Nov 1994 08:50:37 UTC", 60),
        ("Sun, 06 Nov 1994 08:50:37 +0000", 60),
        ("Sun, 06 Nov 1994 08:50:37 -0000", 60),
        ("Sunday, 06-Nov-94 08:50:37 UTC", 60),
        ("Sun, 06 Nov 1994 08:50:37 GMT, Sun, 06 Nov 1994 08:50:37 GMT", 60),
        ("Mon, 07 Nov 1994 08:49:37 GMT", 86_400),
        ("Mon, 07 Nov 1994 08:49:38 GMT", 86_400),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400),
    ],
)
def test_a_usable_wait_is_read_in_every_valid_form(value: str, wait_s: float) -> None:
    assert parse_retry_after(value, None, NOW) == wait_s


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "0",
        "-1",
        "+5",
        "0.0",
        ".5",
        "1.5.5",
        "1 5",
        "1e309",
        "1e3",
        "16\x1c",
        "NaN",
        "٣",
        "30, 60",
        "30,",
        ",",
        "soon",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:36 GMT",
        "Sun, 06 Nov 0000 08:50:37 GMT",
        "Sun, 31 Feb 1995 08:50:37 GMT",
        "Sun, 06 Nov 1994 25:50:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 1994 10:50:37 +0100",
        "Sun, 06 Nov 1994 08:50:37 GMT, Sun, 06 Nov 1994 08:51:37 GMT",
        "1994-11-06T08:50:37Z",
    ],
)
def test_no_usable_wait_is_none(value: str | None) -> None:
    assert parse_retry_after(value, None, NOW) is None


def test_a_date_counts_from_the_date_of_the_response_because_our_clock_may_be_wrong() -> None:
    an_hour_off = NOW + 3600
    assert parse_retry_after("Sun, 06 Nov 1994 08:50:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT", an_hour_off) == 60


def test_with_an_invalid_date_header_our_clock_is_used() -> None:
    assert parse_retry_after("Sun, 06 Nov 1994 08:50:37 GMT", "yesterday", NOW) == 60


def test_a_very_long_number_is_a_day_and_is_not_converted() -> None:
    started = time.process_time()
    assert parse_retry_after("9" * 1_000_000, None, NOW) == 86_400
    assert time.process_time() - started < 5


@pytest.mark.parametrize("name", ["RateLimit-Reset", "X-RateLimit-Reset"])
@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        ("60", 60),
        ("59.2", 60),
        ("60, 60", 60),
        ("90000", 86_400),
        ("1767225660", 60),
        ("1767225659.5", 60),
        ("1767225660000", 60),
        ("1767325660", 86_400),
        ("9" * 100_000, 86_400),
        ("1767225600", None),
        ("1000000000", None),
        ("0", None),
        ("-60", None),
        ("Thu, 01 Jan 2026 00:01:00 GMT", None),
        ("2026-01-01T00:01:00Z", None),
    ],
)
def test_a_reset_header_is_seconds_or_an_instant(name: str, value: str, wait_s: float | None) -> None:
    """An instant counts from the response's `Date`, which is the partner's clock."""
    headers = {name: value, "Date": "Thu, 01 Jan 2026 00:00:00 GMT"}
    assert requested_wait_s(headers, NOW, throttled=True) == wait_s


def test_the_standard_reset_header_has_priority_over_the_older_one() -> None:
    assert requested_wait_s({"X-RateLimit-Reset": "7", "RateLimit-Reset": "5"}, NOW, throttled=True) == 5
    assert requested_wait_s({"X-RateLimit-Reset": "7", "RateLimit-Reset": "soon"}, NOW, throttled=True) == 7


@pytest.mark.parametrize(
    ("short_year", "year_start"),
    [("26", 1_767_225_600.0), ("76", 3_345_062_400.0), ("77", 220_924_800.0)],
)
def test_a_two_digit_year_is_at_most_fifty_years_ahead(short_year: str, year_start: float) -> None:
    in_2026 = 1_767_225_600.0
    assert parse_http_date(f"Monday, 01-Jan-{short_year} 00:00:00 GMT", in_2026) == year_start


def test_a_leap_second_is_read_as_the_second_before_it() -> None:
    assert parse_http_date("Sat, 31 Dec 2016 23:59:60 GMT", NOW) == 1_483_228_799
