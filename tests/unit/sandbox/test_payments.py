"""A sandbox's payments: how long a reference stays in use."""

from __future__ import annotations

from sidecar.sandbox.payments import KEPT_PAYMENTS, NewPayment, PaymentBook
from tests.support.hand_clock import HandClock


def new(number: int) -> NewPayment:
    return NewPayment(amount=1, country_code="NG", currency_code="NGN", partner_reference=str(number))


def test_the_oldest_payments_beyond_a_limit_are_removed() -> None:
    book = PaymentBook(HandClock())
    payments = [book.create(new(number)) for number in range(KEPT_PAYMENTS + 1)]
    assert all(payments)
    assert book.count == KEPT_PAYMENTS
    first, second = payments[:2]
    assert first is not None
    assert second is not None
    assert (book.find(first.reference), book.find(second.reference)) == (None, second)
    assert book.create(new(1)) is None
    assert book.create(new(0)) is not None
