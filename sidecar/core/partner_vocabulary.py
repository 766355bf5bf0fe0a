"""Reads a partner's table: a closed set of keys, each with its check, without templates, expressions or code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sidecar.core import table_values as values
from sidecar.core.closest import did_you_mean
from sidecar.core.partner_table import PartnerTable
from sidecar.core.signing import SigningRecipe, holds


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
_OF_REFRESH = ("refresh_field", "refresh_fields", "refresh_headers", "refresh_auth")
_OF_AUTH = {"body": ("key_field", "secret_field"), "header": ("key_header", "secret_header")}
_ASSERTION_FIELDS = ("client_assertion_type", "client_assertion")


def read_table(name: str, document: Mapping[str, object]) -> PartnerTable:
    """Return the partner that a table describes. Raises `PartnerTableError` with every problem."""
    problems: list[str] = []
    given: dict[str, Any] = {}
    for key, value in document.items():
        check = _CHECKS.get(key)
        if check is None:
            problems.append(f"{key} is not a key of a partner{did_you_mean(key, _CHECKS)}")
            continue
        try:
            given[key] = check(value)
        except ValueError as error:
            problems.append(f"{key} {error}")
    readable = document.keys() & given.keys()
    if "token_path" not in document:
        problems.append("token_path is missing: the path that issues tokens, such as /v2/session")
    if not problems and readable == document.keys():
        given = _with_defaults(given)
        problems += _disagreements(given)
    if problems:
        raise PartnerTableError(problems)
    return PartnerTable(name=name, **given)


def _with_defaults(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with those that follow from others."""
    is_form, is_oauth2 = given.get("request") == "form", given.get("oauth2", False)
    defaults: dict[str, Any] = {
        "content_type": "application/x-www-form-urlencoded" if is_form else "application/json",
        "access_field": "access_token" if is_oauth2 else "accessToken",
    }
    if is_oauth2 and given.get("client_auth") == "body":
        defaults |= {"key_field": "client_id", "secret_field": "client_secret"}
    return defaults | dict(given)


def _disagreements(given: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each combination that cannot work."""
    auth = given.get("client_auth", "basic")
    for kind, keys in _OF_AUTH.items():
        for key in keys:
            if kind == auth and key not in given:
                yield f"{key} is missing: client_auth = {kind!r} sends the credentials in {' and '.join(keys)}"
            elif kind != auth and key in given:
                yield f"{key} has no use with client_auth = {auth!r}: remove it, or set client_auth = {kind!r}"
    if auth != "private_key_jwt" and "assertion_audience" in given:
        yield f"assertion_audience has no use with client_auth = {auth!r}: remove it"
    yield from _unused_refresh(given)
    yield from _double_names(given, auth)
    if given.get("request") == "form" and "json" in given["content_type"]:
        yield f"content_type {given['content_type']} is not that of a form: leave it out, or set request = 'json'"
    if given.get("request", "json") == "json" and "form" in given["content_type"]:
        yield f"content_type {given['content_type']} is not that of JSON: leave it out, or set request = 'form'"
    recipe = given.get("sign")
    if "sign_test" in given and (recipe is None or not holds(recipe, given["sign_test"])):
        yield "sign_test does not agree with sign: the recipe gives another signature"


def _unused_refresh(given: Mapping[str, Any]) -> Iterator[str]:
    if "refresh_path" in given:
        if "refresh_field" not in given:
            yield "refresh_field is missing: the field of the response with the refresh token"
        elif given["refresh_field"] == given["access_field"]:
            yield "refresh_field is access_field as well: name the field of the refresh token"
        if given["refresh_path"] == given["token_path"] and not given.get("refresh_fields"):
            yield "refresh_fields is missing: without a field of its own a refresh at token_path looks like a grant"
    else:
        for key in _OF_REFRESH:
            if key in given:
                yield f"{key} has no use without refresh_path"


def _double_names(given: Mapping[str, Any], auth: str) -> Iterator[str]:
    """Yield a sentence for each field and header that would be sent twice."""
    own = [given[key] for key in _OF_AUTH["body"] if key in given]
    own += _ASSERTION_FIELDS if auth == "private_key_jwt" else ()
    own += [given["role_field"]] if "role_field" in given else []
    sent = [*given.get("fields", {}), *own]
    refreshed = [*given.get("refresh_fields", {}), *own]
    refreshed += [given["refresh_field"].split(".")[-1]] if "refresh_field" in given else []
    for what, names in (("fields", sent), ("refresh_fields", refreshed)):
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"{what} would send {name} twice"
    set_here = (
        ["authorization"] if auth == "basic" else [given[key].lower() for key in _OF_AUTH["header"] if key in given]
    )
    for key in ("headers", "refresh_headers"):
        names = [*map(str.lower, given.get(key, {})), *set_here]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"{key} would send {name} twice"
    recipe: SigningRecipe | None = given.get("sign")
    if recipe is not None:
        of_requests = [given.get("token_header", "Authorization"), recipe.timestamp_header, recipe.signature_header]
        if len({name.lower() for name in of_requests}) < len(of_requests):
            yield "sign and token_header need three different headers"
