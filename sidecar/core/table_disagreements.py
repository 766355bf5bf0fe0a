"""Finds what cannot work in a partner's table although each of its values can: a sentence for each combination."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sidecar.core.allow_list import AllowList, read_rule
from sidecar.core.signing import SigningRecipe, holds

_OF_REFRESH = ("refresh_field", "refresh_fields", "refresh_headers", "refresh_auth")
_OF_AUTH = {"body": ("key_field", "secret_field"), "header": ("key_header", "secret_header")}
_OF_ASSERTION = ("client_assertion_type", "client_assertion")
_OF_RESPONSE = ("access_field", "refresh_field", "expires_field", "role_field")
_GRANT_TYPES = (("fields", "client_credentials"), ("refresh_fields", "refresh_token"))
_TOKEN_TYPE = "token_type"  # noqa: S105 - the name of a field


def disagreements(given: Mapping[str, Any]) -> Iterator[str]:
    """Yield the sentences, each of which begins with a key. The values were checked; defaults are among them."""
    yield from _credentials(given)
    yield from _refresh(given)
    yield from _oauth2(given)
    yield from _sent_twice(given)
    yield from _response_fields(given)
    yield from _media_type(given)
    yield from _signature(given)
    yield from _paths(given)


def _credentials(given: Mapping[str, Any]) -> Iterator[str]:
    auth = given["client_auth"]
    for kind, keys in _OF_AUTH.items():
        for key in keys:
            if kind == auth and key not in given:
                yield f"{key} is missing: client_auth = {kind!r} sends the credentials in {' and '.join(keys)}"
            elif kind != auth and key in given:
                yield f"{key} has no use with client_auth = {auth!r}: remove it, or set client_auth = {kind!r}"
    if auth != "private_key_jwt" and "assertion_audience" in given:
        yield f"assertion_audience has no use with client_auth = {auth!r}: remove it"


def _refresh(given: Mapping[str, Any]) -> Iterator[str]:
    if "refresh_path" not in given:
        for key in _OF_REFRESH:
            if key in given:
                yield f"{key} has no use without refresh_path"
        return
    if "refresh_field" not in given:
        yield "refresh_field is missing: the field of the response with the refresh token"


def _oauth2(given: Mapping[str, Any]) -> Iterator[str]:
    """RFC 6749 sections 4.4.2 and 6: each token request names its grant."""
    if not given["oauth2"]:
        return
    for key, usual in _GRANT_TYPES:
        if "grant_type" not in given.get(key, {}) and (key == "fields" or "refresh_path" in given):
            yield f"{key} needs a grant_type, which OAuth 2.0 requires, such as {usual}"


def _sent_twice(given: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each field and header that a grant or a refresh would send twice."""
    yield from _sent_twice_by("fields", "headers", given, with_credentials=True)
    if "refresh_path" in given and "refresh_field" in given:
        own = [given["refresh_field"].split(".")[-1]]
        refreshes_with = given.get("refresh_auth", True)
        yield from _sent_twice_by("refresh_fields", "refresh_headers", given, own, with_credentials=refreshes_with)


def _sent_twice_by(
    fields: str, headers: str, given: Mapping[str, Any], own: Sequence[str] = (), *, with_credentials: bool
) -> Iterator[str]:
    named = [*given.get(fields, {}), *own, *([given["role_field"]] if "role_field" in given else ())]
    sent = [*map(str.lower, given.get(headers, {}))]
    if with_credentials:
        named += [given[key] for key in _OF_AUTH["body"] if key in given]
        named += _OF_ASSERTION if given["client_auth"] == "private_key_jwt" else ()
        basic = ["authorization"] if given["client_auth"] == "basic" else []
        sent += basic + [given[key].lower() for key in _OF_AUTH["header"] if key in given]
    for what, names in ((fields, named), (headers, sent)):
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"{what} would send {name} twice"


def _response_fields(given: Mapping[str, Any]) -> Iterator[str]:
    """One place of a response holds one value, and what holds fields is no value."""
    known = [(key, given[key].split(".")) for key in _OF_RESPONSE if key in given]
    if given["oauth2"]:
        known.append((_TOKEN_TYPE, [_TOKEN_TYPE]))
    for at, (first, path) in enumerate(known):
        for second, other in known[at + 1 :]:
            shared = min(len(path), len(other))
            if path[:shared] == other[:shared]:
                yield f"{first} and {second} cannot both be read: {'.'.join(path)} and {'.'.join(other)} are one place"


def _media_type(given: Mapping[str, Any]) -> Iterator[str]:
    if given["request"] == "form" and "json" in given["content_type"]:
        yield f"content_type {given['content_type']} is not that of a form: leave it out, or set request = 'json'"
    if given["request"] == "json" and "form" in given["content_type"]:
        yield f"content_type {given['content_type']} is not that of JSON: leave it out, or set request = 'form'"


def _signature(given: Mapping[str, Any]) -> Iterator[str]:
    recipe: SigningRecipe | None = given.get("sign")
    if recipe is None:
        yield from (f"{key} has no use without sign" for key in ("sign_test", "sign_probe") if key in given)
        return
    if "sign_test" in given and not holds(recipe, given["sign_test"]):
        yield "sign_test does not agree with sign: the recipe gives another signature"
    names = {name.lower() for name in (given["token_header"], recipe.timestamp_header, recipe.signature_header)}
    if len(names) < 3:
        yield "sign needs two headers that differ from each other and from token_header"


def _paths(given: Mapping[str, Any]) -> Iterator[str]:
    own = [given[key] for key in ("token_path", "refresh_path") if key in given]
    # At one path, fields tell the two requests apart.
    if given.get("refresh_path") == given["token_path"] and not given.get("refresh_fields"):
        yield "refresh_fields is missing: a refresh at token_path needs a field that says what it is"
    if given.get("probe_path") in own:
        yield "probe_path must be another path than those of tokens"
    never = AllowList((), [*own, *([given["authentication_path"]] if "authentication_path" in given else ())])
    for text in given.get("gateway_allow", ()):
        rule = read_rule(text)
        if never.authenticates(f"{rule.path}x" if rule.prefix else rule.path):
            yield f"gateway_allow has {text}, which is never forwarded: apps must not get tokens themselves"
