"""The payments of a sandbox and their refunds. Plain state, no network.

Source of fields and statuses: https://pay1st-docs.carry1st.com/reference/create-payment-request and its sister pages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

import msgspec

from sidecar.core.ports import Clock

PaymentStatus: TypeAlias = Literal["NEW", "SUCCESSFUL", "FAILED", "CANCELLED", "ABANDONED"]
Amount: TypeAlias = Annotated[float, msgspec.Meta(gt=0, le=1e12)]
_Text: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)]

KEPT_PAYMENTS = 10_000
"""A reference is unique among this many; older payments are forgotten, so that a sandbox can run for weeks."""


class NewPayment(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The mandatory fields of `POST payments/create`; the others are not read."""

    amount: Amount
    country_code: _Text
    currency_code: _Text
    partner_reference: _Text


class FulfilledProduct(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    sku: _Text
    fulfilment_status: _Text
    quantity: int


class Fulfilment(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The mandatory fields of `POST payments/fulfilments`."""

    reference: _Text
    products: Annotated[list[FulfilledProduct], msgspec.Meta(min_length=1)]


class NewRefund(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The body of `POST refunds/create`. Without an amount the rest of the payment is refunded."""

    transaction_reference: _Text
    amount: Amount | None = None
    partner_refund_reference: _Text | None = None


@dataclass(slots=True)
class Payment:
    """`reference` is the partner's own, `C-<digits>-P`; its transaction is `C-<digits>-T`."""

    reference: str
    partner_reference: str
    amount: float
    country_code: str
    currency_code: str
    status: PaymentStatus = "NEW"
    refunded: float = 0

    @property
    def transaction_reference(self) -> str:
        return self.reference.removesuffix("P") + "T"

    def shown(self) -> dict[str, object]:
        return {
            "reference": self.reference,
            "partnerReference": self.partner_reference,
            "transactionReference": self.transaction_reference,
            "amount": self.amount,
            "countryCode": self.country_code,
            "currencyCode": self.currency_code,
            "status": self.status,
            "refundedAmount": self.refunded,
        }


class PaymentBook:
    """Creates, finds and refunds payments."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_reference: dict[str, Payment] = {}
        self._partner_references: set[str] = set()

    @property
    def count(self) -> int:
        return len(self._by_reference)

    def create(self, new: NewPayment) -> Payment | None:
        """Return the new payment, or None if its `partnerReference` was used before."""
        if new.partner_reference in self._partner_references:
            return None
        payment = Payment(
            reference=f"C-{int(self._clock.new_id(), 16)}-P",
            partner_reference=new.partner_reference,
            amount=new.amount,
            country_code=new.country_code,
            currency_code=new.currency_code,
        )
        self._by_reference[payment.reference] = payment
        self._partner_references.add(payment.partner_reference)
        if len(self._by_reference) > KEPT_PAYMENTS:
            oldest = self._by_reference.pop(next(iter(self._by_reference)))
            self._partner_references.discard(oldest.partner_reference)
        return payment

    def find(self, reference: str) -> Payment | None:
        return self._by_reference.get(reference)

    def refund(self, new: NewRefund) -> dict[str, object] | str:
        """Refund a payment and return the response, or the reason why it cannot be refunded."""
        payment = self.find(new.transaction_reference.removesuffix("T") + "P")
        if payment is None or payment.transaction_reference != new.transaction_reference:
            return "No such transaction"
        # Rounded, since 0.3 - 0.1 is less than 0.2 in binary.
        left = round(payment.amount - payment.refunded, 6)
        amount = left if new.amount is None else new.amount
        if amount > left or left == 0:
            return "The amount is more than what is left of the payment"
        payment.refunded = round(payment.refunded + amount, 6)
        return {
            "refundReference": f"R-{int(self._clock.new_id(), 16)}",
            "transactionReference": new.transaction_reference,
            "partnerRefundReference": new.partner_refund_reference,
            "amount": amount,
            "status": "PENDING",
            "handlingType": "PSP_API",
        }
