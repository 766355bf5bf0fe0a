"""The partner, and the settings of `SIDECAR_PARTNER=oauth2`; `sidecar.config.schema` has their names."""

from __future__ import annotations

from sidecar.config import parsers
from sidecar.config.settings import Setting
from sidecar.core.table_values import url_path

PARTNER = Setting(
    parsers.word,
    "pay1st",
    "pay1st, flow1st, oauth2 (any server with the client-credentials grant of RFC 6749), or a table "
    "[partners.NAME] of the TOML file",
    per_profile=True,
)
TOKEN_PATH = Setting[str | None](
    url_path,
    "",
    "for SIDECAR_PARTNER=oauth2: the path of the server's token endpoint, such as /oauth2/token",
    per_profile=True,
)
CLIENT_AUTH = Setting(
    parsers.one_of(basic="basic", body="body", private_key_jwt="private_key_jwt"),
    "basic",
    "for SIDECAR_PARTNER=oauth2: how the client authenticates: basic (HTTP Basic), body (client_id, client_secret) or "
    "private_key_jwt (an assertion signed with the file private-key, RS256 or ES256)",
    per_profile=True,
)
SCOPE = Setting[str | None](
    parsers.scope, "", "for SIDECAR_PARTNER=oauth2: the scope asked for, words separated by spaces", per_profile=True
)
AUDIENCE = Setting[str | None](
    parsers.printable, "", "for SIDECAR_PARTNER=oauth2: the audience asked for", per_profile=True
)
ASSERTION_AUDIENCE = Setting[str | None](
    parsers.printable,
    "",
    "for SIDECAR_CLIENT_AUTH=private_key_jwt: the server that the assertion names, for servers that accept only their "
    "issuer",
    per_profile=True,
    default_note="URL of the token endpoint",
)
