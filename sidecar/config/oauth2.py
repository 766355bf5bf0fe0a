"""The settings of `SIDECAR_PARTNER=oauth2`; `sidecar.config.schema` has their names."""

from __future__ import annotations

from sidecar.config import parsers
from sidecar.config.settings import Setting

TOKEN_PATH = Setting[str | None](
    parsers.url_path,
    "",
    "for SIDECAR_PARTNER=oauth2: the path of the server's token endpoint, such as /oauth2/token",
    per_profile=True,
)
CLIENT_AUTH = Setting(
    parsers.one_of(basic="basic", body="body"),
    "basic",
    "for SIDECAR_PARTNER=oauth2: where client id and secret are sent, in HTTP Basic or in the body",
    per_profile=True,
)
SCOPE = Setting[str | None](
    parsers.scope, "", "for SIDECAR_PARTNER=oauth2: the scope asked for, words separated by spaces", per_profile=True
)
AUDIENCE = Setting[str | None](
    parsers.printable, "", "for SIDECAR_PARTNER=oauth2: the audience asked for", per_profile=True
)
