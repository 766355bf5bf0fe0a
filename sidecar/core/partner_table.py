"""A partner's token API as a table of plain values: how tokens are requested, read and sent, and requests signed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from sidecar.core.model import Secret
from sidecar.core.signing import PublishedSignature, SigningRecipe

BodyForm: TypeAlias = Literal["json", "form"]
ClientAuth: TypeAlias = Literal["basic", "body", "header", "private_key_jwt"]
"""`private_key_jwt`: an assertion signed with the file `private-key`, which stands in for `api-secret` (RFC 7523)."""
Constant: TypeAlias = str | int | bool | Secret
"""A value that is sent as it is. It is a `Secret` where its name is that of one, such as X-Api-Key."""


def plain(value: Constant) -> str | int | bool:
    """Return a constant as it is sent. It may be a secret."""
    return value.reveal() if isinstance(value, Secret) else value


@dataclass(frozen=True, slots=True)
class TokenHeader:
    """The header in which a partner expects the token. `scheme` is empty where the token is sent alone."""

    name: str
    scheme: str = "Bearer"

    def value(self, access: Secret) -> str:
        """Return the header's value. It holds the secret."""
        return f"{self.scheme} {access.reveal()}" if self.scheme else access.reveal()

    @property
    def naming(self) -> Mapping[str, str]:
        """The header that names this one to clients, which otherwise find it by `Bearer `, as its name varies."""
        return {} if self.scheme == "Bearer" else {"Token-Header": self.name}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignProbe:
    """A write with which a survey tries signatures. The partner must refuse it when its body is an empty object."""

    path: str
    content_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerTable:
    """One partner API. docs/partners.md explains each key; `sidecar.core.partner_vocabulary` reads and checks a table.

    A `…_field` of a response is a path of names joined by dots. The empty text means: there is none.
    """

    name: str
    token_path: str
    base_url: str = ""
    request: BodyForm = "json"
    oauth2: bool = False
    """Whether the server follows RFC 6749: form-encoded Basic (2.3.1), error codes (5.2), Bearer tokens alone."""
    client_auth: ClientAuth = "basic"
    key_field: str = ""
    secret_field: str = ""
    key_header: str = ""
    secret_header: str = ""
    assertion_audience: str = ""
    """The server that an assertion is for; empty: the URL of the token endpoint."""
    fields: Mapping[str, Constant] = field(default_factory=dict)
    role_field: str = ""
    """The field with the role of the profile; the response may repeat it."""
    content_type: str
    headers: Mapping[str, str | Secret] = field(default_factory=dict)
    success_status: int = 200
    """The status of a response with a token."""
    access_field: str
    expires_field: str = ""
    refresh_path: str = ""
    refresh_field: str = ""
    """Of the response. A refresh sends the refresh token in a field of the last name of this path."""
    refresh_fields: Mapping[str, Constant] = field(default_factory=dict)
    refresh_headers: Mapping[str, str | Secret] = field(default_factory=dict)
    refresh_auth: bool = True
    """Whether a refresh sends key and secret as well."""
    token_header: str = "Authorization"  # noqa: S105 - the name of a header, not a secret
    token_scheme: str = "Bearer"  # noqa: S105 - the name of a scheme, not a secret
    sign: SigningRecipe | None = None
    sign_test: PublishedSignature | None = None
    """A signature that the partner published; `sign` has to give it."""
    probe_path: str = ""
    """A path that answers GET with 200 to a valid token."""
    sign_probe: SignProbe | None = None
    authentication_path: str = ""
    """The gateway never forwards this path nor anything below it; neither does it forward the two token paths."""
    gateway_allow: tuple[str, ...] = ()

    @property
    def refresh_name(self) -> str:
        """The field in which a refresh sends the refresh token; empty where there is none."""
        return self.refresh_field.split(".")[-1]

    @property
    def authentication_paths(self) -> tuple[str, ...]:
        paths = (self.authentication_path, self.token_path, self.refresh_path)
        return tuple(path for path in paths if path)

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The constants that are secrets."""
        constants = (self.fields, self.headers, self.refresh_fields, self.refresh_headers)
        return tuple(value for each in constants for value in each.values() if isinstance(value, Secret))

    @property
    def key_may_have_colon(self) -> bool:
        """Whether the key is sent in another way than as the user-id of HTTP Basic, which a colon ends (RFC 7617)."""
        return self.client_auth != "basic" or self.oauth2

    @property
    def header(self) -> TokenHeader:
        return TokenHeader(self.token_header, self.token_scheme)
