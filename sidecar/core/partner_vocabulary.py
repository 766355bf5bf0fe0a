"""Reads a partner's table: a closed set of keys, each with its check, without templates, expressions or code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sidecar.core import table_values as values
from sidecar.core.closest import did_you_mean
from sidecar.core.partner_table import PartnerTable
from sidecar.core.table_disagreements import disagreements


class PartnerTableError(ValueError):
    """A table that cannot be used. `problems` are sentences that begin with a key."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


_CHECKS: Mapping[str, values.Check] = {
    "base_url": values.base_url,
    "token_path": values.url_path,
    "request": values.one_of("json", "form"),
    "oauth2": values.yes_no,
    "client_auth": values.one_of("basic", "body", "header", "private_key_jwt"),
    "key_field": values.field_name,
    "secret_field": values.field_name,
    "key_header": values.header_name,
    "secret_header": values.header_name,
    "assertion_audience": values.printable,
    "fields": values.fields,
    "role_field": values.field_name,
    "content_type": values.media_type,
    "headers": values.headers,
    "success_status": values.success_status,
    "access_field": values.dotted,
    "expires_field": values.dotted,
    "refresh_path": values.url_path,
    "refresh_field": values.dotted,
    "refresh_fields": values.fields,
    "refresh_headers": values.headers,
    "refresh_auth": values.yes_no,
    "token_header": values.header_name,
    "token_scheme": values.token_scheme,
    "sign": values.signing_recipe,
    "sign_test": values.published_signature,
    "probe_path": values.url_path,
    "sign_probe": values.sign_probe,
    "authentication_path": values.url_path,
    "gateway_allow": values.allow_rules,
}
KEYS = tuple(_CHECKS)
"""Every key of a table, in the order of the documentation."""


def read_table(name: str, document: Mapping[str, object]) -> PartnerTable:
    """Return the partner that a table describes. Raises `PartnerTableError` with every problem."""
    problems: list[str] = []
    given: dict[str, Any] = {}
    for key, value in document.items():
        check = _CHECKS.get(key)
        if check is None:
            problems.append(f"{values.shown_key(key)} is not a key of a partner{did_you_mean(key, _CHECKS)}")
            continue
        try:
            given[key] = check(value)
        except ValueError as error:
            problems.append(f"{key} {error}")
    if "token_path" not in document:
        problems.append("token_path is missing: the path that issues tokens, such as /v2/session")
    if not problems:
        # Combinations are checked only among valid values.
        given = _with_defaults(given)
        problems += disagreements(given)
    if problems:
        raise PartnerTableError(problems)
    return PartnerTable(name=name, **given)


def _with_defaults(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with the defaults that combinations are about, also those that follow from other values."""
    is_form, is_oauth2 = given.get("request") == "form", given.get("oauth2", False)
    defaults: dict[str, Any] = {
        "request": "json",
        "oauth2": False,
        "client_auth": "basic",
        "token_header": "Authorization",
        "content_type": "application/x-www-form-urlencoded" if is_form else "application/json",
        "access_field": "access_token" if is_oauth2 else "accessToken",
    }
    if is_oauth2 and given.get("client_auth") == "body":
        defaults |= {"key_field": "client_id", "secret_field": "client_secret"}
    return defaults | dict(given)
