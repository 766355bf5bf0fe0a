"""The supported partner APIs, as data: another API of this scheme needs one more entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sidecar.core.signing import PublishedSignature, SigningRecipe

_SIGNING = SigningRecipe(
    parts=("timestamp", "body"), timestamp_header="X-TIMESTAMP", signature_header="X-SIGNATURE", encoding="hex"
)
_PUBLISHED = PublishedSignature(
    key="hCyO_Flnu6aid-bhFYTYOowkxXRzoZkgzO32rB6Ik8Y",
    timestamp="2025-03-17T08:10:52.544247646Z",
    body=(
        '{"countryCode":"NG","currencyCode":"NGN","amount":100,"partnerReference":"4a662291-2840-4bcd-aae9-553ab24601ed",'
        '"callbackSuccessUrl":"<https://callback.success","callbackFailureUrl":"https://callback.failure",'
        '"callbackPendingUrl":"https://callback.pending","callbackCancelUrl":"https://callback.cancel",'
        '"webhookUrl":"https://webhook.success",'
        '"products":[{"title":"10> Credits","sku":"12345","price":100,"quantity":1,"currencyCode":"NGN"}],'
        '"metadata":[{"key":"customerId","value":"1"}]}'
    ),
    signature="85aa0862aa052f737d3cf4d38f92091ea7c015e782d207ea18cc5641d3e47755",
)
"""As printed on the page about signatures, odd `<` and `>` included. Its key is an example and signs nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """Where and how one partner API issues tokens. Source: its public reference pages.

    `refresh_path` is None when no refresh is documented. `token_header` carries `Bearer <token>` to every other
    endpoint; `probe_path` (GET) is one of them. `signing` has to reproduce `published_signature`.
    """

    name: str
    base_url: str
    grant_path: str
    refresh_path: str | None
    content_type: str
    token_header: str = "AccessToken"  # noqa: S105 - the name of a header, not a secret
    probe_path: str
    signing: SigningRecipe = _SIGNING
    published_signature: PublishedSignature = _PUBLISHED
    authentication_path: str
    """The gateway forwards neither this path nor anything below it."""
    gateway_allow: tuple[str, ...]
    """What the gateway forwards unless the operator lists something else: rules of `core.allow_list`."""


_ALL = (
    Preset(
        name="pay1st",
        base_url="https://api-gateway.carry1st.com",
        grant_path="/api/pay1st/auth/token",
        refresh_path="/api/pay1st/auth/refresh",
        content_type="application/vnd.carry1st.payments.partnerauthentication+json",
        probe_path="/api/pay1st/payments/methods",
        authentication_path="/api/pay1st/auth",
        # Without refunds and chargebacks: a refund without an amount is a full one.
        gateway_allow=(
            "GET /api/pay1st/*",
            "POST /api/pay1st/payments/create",
            "POST /api/pay1st/payments/fulfilments",
        ),
    ),
    Preset(
        name="flow1st",
        base_url="https://api-gateway.carry1st.com",
        grant_path="/api/distributors/auth/token",
        refresh_path=None,
        content_type="application/vnd.carry1st.products.distributorauthentication+json",
        probe_path="/api/distributors/products",
        authentication_path="/api/distributors/auth",
        # No order is on the list: each spends money.
        gateway_allow=("GET /api/distributors/*",),
    ),
)

PRESETS: Mapping[str, Preset] = MappingProxyType({preset.name: preset for preset in _ALL})
"""By name, as `SIDECAR_PARTNER` gives it."""
