"""The partner of a profile: a table that is shipped, one of the operator's file, or OAuth 2.0 by settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from sidecar.config import sources
from sidecar.config.schema import Settings
from sidecar.config.settings import Diagnostics, Setting, Values
from sidecar.core.closest import did_you_mean
from sidecar.core.errors import ConfigurationError
from sidecar.core.partner_table import PartnerTable
from sidecar.core.partner_vocabulary import PartnerTableError, read_table
from sidecar.core.proxies import is_loopback

OAUTH2 = "oauth2"
OF_OAUTH2: tuple[Setting[Any], ...] = (
    Settings.token_path, Settings.client_auth, Settings.scope, Settings.audience, Settings.assertion_audience,
)  # fmt: skip
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_UNKNOWN = PartnerTable(name="", token_path="/", content_type="application/json", access_field="accessToken")  # noqa: S106
"""Stands for a partner that cannot be used, so that the profile's other problems are found as well."""


def read_partners(
    tables: object, path: str, shipped: Mapping[str, PartnerTable], diagnostics: Diagnostics
) -> Mapping[str, PartnerTable]:
    """Return the shipped partners and those of the file's `[partners.NAME]` tables. Report every problem."""
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        diagnostics.problem(f"partners in {path} must be tables, such as [partners.acme]")
        return shipped
    found = dict(shipped)
    for name, table in tables.items():
        place = f"in [partners.{name}] of {path}"
        if not _NAME.fullmatch(name):
            diagnostics.problem(
                f"[partners.{name}] in {path}: a name has 1 to 32 of a-z, 0-9 and '-', and "
                "starts with a letter or digit"
            )
        elif name in (*shipped, OAUTH2):
            diagnostics.problem(f"[partners.{name}] in {path}: the program has a partner of this name: choose another")
        try:
            made = read_table(name, table)
        except PartnerTableError as error:
            for problem in error.problems:
                key, _, rest = problem.partition(" ")
                diagnostics.problem(f"{key} {place} {rest}")
            made = _UNKNOWN
        found.setdefault(name, made)
    return MappingProxyType(found)


def named_partner(
    name: str, environ: Mapping[str, str], shipped: Mapping[str, PartnerTable]
) -> tuple[PartnerTable, str]:
    """Return one partner as a sidecar with this environment would use it, and the role that the sidecar would ask for.

    Other settings are not checked. Raises `ConfigurationError`.
    """
    diagnostics = Diagnostics()
    reading = Diagnostics()
    written = sources.read(environ, reading)
    if not written.readable:
        raise ConfigurationError(reading.problems)
    partners = read_partners(written.partners, written.config, shipped, diagnostics)
    table = partners.get(name)
    profiles = tuple(written.profiles.values()) if len(written.profiles) == 1 else ()
    values = Values((written.environment, *profiles, written.file), diagnostics)
    role = values[Settings.role]
    if name == OAUTH2:
        table = _oauth2(values, diagnostics)
    elif table is None:
        known = (*partners, OAUTH2)
        diagnostics.problem(
            f"there is no partner {name!r}: known are {', '.join(known)}, and the [partners.NAME] tables of the file "
            f"that {Settings.config.name} names{did_you_mean(name, known)}"
        )
    if diagnostics.problems or table is None:
        raise ConfigurationError(diagnostics.problems)
    return table, role


def partner_of(values: Values, partners: Mapping[str, PartnerTable], diagnostics: Diagnostics) -> PartnerTable:
    """Return the table of the profile's partner. Report a partner that is not there."""
    name = values[Settings.partner]
    if name == OAUTH2:
        return _oauth2(values, diagnostics)
    table = partners.get(name)
    if table is None:
        if values.readable((Settings.partner,)):
            known = (*(known for known in partners if known != OAUTH2), OAUTH2)
            diagnostics.problem(
                f"{values.origin(Settings.partner)} must be {', '.join(known[:-1])} or {known[-1]}, or a table "
                f"[partners.NAME] of the TOML file, not {name!r}{did_you_mean(name, known)}"
            )
        return _UNKNOWN
    for setting in OF_OAUTH2:
        if values.raw(setting) is not None:
            diagnostics.problem(
                f"{values.origin(setting)} is for {Settings.partner.key} = oauth2 only: remove it, or set "
                f"{values.origin(Settings.partner)} to oauth2"
            )
    return table


def _oauth2(values: Values, diagnostics: Diagnostics) -> PartnerTable:
    """Return the client-credentials grant (RFC 6749 section 4.4) as a table."""
    path = values[Settings.token_path]
    if path is None:
        if values.readable((Settings.token_path,)):
            diagnostics.problem(
                f"{values.origin(Settings.token_path)} is missing: {Settings.partner.key} = oauth2 needs the path of "
                "the server's token endpoint, such as /oauth2/token"
            )
        return _UNKNOWN
    fields = {"grant_type": "client_credentials"}
    for setting in (Settings.scope, Settings.audience):
        if (text := values[setting]) is not None:
            fields[setting.key] = text
    document: dict[str, object] = {
        "token_path": path,
        "oauth2": True,
        "request": "form",
        "client_auth": values[Settings.client_auth],
        "fields": fields,
        "headers": {"Accept": "application/json"},
        "expires_field": "expires_in",
    }
    if (audience := values[Settings.assertion_audience]) is not None:
        if values[Settings.client_auth] == "private_key_jwt":
            document["assertion_audience"] = audience
        else:
            diagnostics.problem(
                f"{values.origin(Settings.assertion_audience)} has a use with {Settings.client_auth.key} = "
                "private_key_jwt only: remove it"
            )
    try:
        return read_table(OAUTH2, document)
    except PartnerTableError as error:
        for problem in error.problems:
            diagnostics.problem(f"{Settings.partner.key} = oauth2: {problem}")
        return _UNKNOWN


def variant_of(values: Values) -> str:
    """Return what else distinguishes the tokens of one client: those of other scopes are other tokens."""
    if values[Settings.partner] != OAUTH2:
        return ""
    given = (values[Settings.token_path], values[Settings.scope], values[Settings.audience])
    return "\n".join(text or "" for text in given)


def base_url_of(name: str, values: Values, table: PartnerTable, diagnostics: Diagnostics) -> str:
    """Return the base URL. Report one that is missing, and one without TLS beyond loopback."""
    url = values[Settings.base_url] or table.base_url
    if not url and table.name and values.readable((Settings.base_url,)):
        diagnostics.problem(
            f"{values.origin(Settings.base_url)} is missing: partner {table.name} has no URL of its own, so set "
            "that of the server"
        )
    parts = urlsplit(url)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        if values[Settings.allow_http]:
            diagnostics.warn(f"profile {name}: the partner is called without TLS, credentials and tokens can be read")
        else:
            diagnostics.problem(
                f"{values.origin(Settings.base_url)} must be https:// beyond loopback, for credentials travel on it: "
                f"change it, or set {values.origin(Settings.allow_http)} to true"
            )
    return url
