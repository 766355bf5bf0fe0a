"""The checks of single values in a partner's table. Each raises `ValueError` with what the value must be."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from sidecar.core.allow_list import read_rule
from sidecar.core.partner_table import SignProbe
from sidecar.core.signing import PublishedSignature, SigningRecipe

Check: TypeAlias = Callable[[object], Any]
"""Returns the value. Raises `ValueError` with what it must be."""

_PATH = re.compile(r"(/[A-Za-z0-9_.~!$&'()+,=:@*-]+)+|/")
_FIELD = re.compile(r"[^\s.\x00-\x1f\x7f]{1,64}")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_MAX_CHARACTERS = 4096
_RESERVED_HEADERS = frozenset(
    ("host", "content-length", "content-type", "transfer-encoding", "connection", "keep-alive", "te", "trailer",
     "upgrade", "expect", "user-agent", "accept-encoding", "cookie", "proxy-authorization", "via")
)  # fmt: skip


def printable(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable() or len(value) > _MAX_CHARACTERS:
        raise ValueError("must be printable text")
    return value


def matching(form: re.Pattern[str], what: str) -> Check:
    def check(value: object) -> str:
        if not isinstance(value, str) or form.fullmatch(value) is None:
            raise ValueError(f"must be {what}")
        return value

    return check


url_path = matching(_PATH, "a path such as /v2/session, without a query")
field_name = matching(_FIELD, "the name of one field")
header_name = matching(_HEADER, "the name of a header")


def dotted(value: object) -> str:
    if not isinstance(value, str) or not all(_FIELD.fullmatch(part) for part in value.split(".")):
        raise ValueError("must be the name of a field, or names joined by dots such as data.token")
    return value


def one_of(*words: str) -> Check:
    def check(value: object) -> Any:  # noqa: ANN401 - one of the words
        if value not in words:
            raise ValueError(f"must be {' or '.join(words)}")
        return value

    return check


def yes_no(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")  # noqa: TRY004 - as every check
    return value


def fields(value: object) -> Mapping[str, str | int | bool]:
    if not isinstance(value, dict):
        raise ValueError('must be a table of fields, such as { role = "API_USER" }')  # noqa: TRY004 - as every check
    for name, content in value.items():
        field_name(name)
        if not isinstance(content, str | int | bool) or (isinstance(content, str) and not content.isprintable()):
            raise ValueError(f"must have text, a whole number, true or false for {name}")
    return dict(value)


def headers(value: object) -> Mapping[str, str]:
    if not isinstance(value, dict):
        raise ValueError('must be a table of headers, such as { Accept = "application/json" }')  # noqa: TRY004 - as every check
    for name, content in value.items():
        header_name(name)
        if name.lower() in _RESERVED_HEADERS:
            raise ValueError(f"must not have {name}, which the sidecar writes itself")
        if not isinstance(content, str) or not content.isascii() or not content.isprintable():
            raise ValueError(f"must have visible ASCII text for {name}")
    return dict(value)


def media_type(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[\w.+-]+/[\w.+-]+(; ?[\w-]+=[\w-]+)*", value, re.ASCII):
        raise ValueError("must be a media type such as application/json")
    return value


def base_url(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", value):
        raise ValueError("must be a URL such as https://api.example.com")
    return value.rstrip("/")


def token_scheme(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9._~+/-]{0,32}", value):
        raise ValueError('must be a word such as Bearer, or "" to send the token alone')
    return value


def allow_rules(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError('must be a list such as ["GET /v2/*"]')  # noqa: TRY004 - as every check
    return tuple(str(read_rule(printable(rule))) for rule in value)


def signing_recipe(value: object) -> SigningRecipe:
    found = _part(value, {"parts", "timestamp_header", "signature_header", "encoding"})
    parts = found["parts"]
    if not isinstance(parts, list) or sorted(parts) not in (["body"], ["body", "timestamp"]):
        raise ValueError('must have parts such as ["timestamp", "body"], with the body')
    return SigningRecipe(
        parts=tuple(parts),
        timestamp_header=header_name(found["timestamp_header"]),
        signature_header=header_name(found["signature_header"]),
        encoding=one_of("hex", "base64")(found["encoding"]),
    )


def published_signature(value: object) -> PublishedSignature:
    found = _part(value, {"key", "timestamp", "body", "signature"})
    return PublishedSignature(**{name: printable(text) for name, text in found.items()})


def sign_probe(value: object) -> SignProbe:
    found = _part(value, {"path", "content_type"})
    return SignProbe(path=url_path(found["path"]), content_type=media_type(found["content_type"]))


def _part(value: object, keys: set[str]) -> Mapping[str, object]:
    if not isinstance(value, dict) or value.keys() != keys:
        raise ValueError(f"must be a table with {', '.join(sorted(keys))}, each once")
    return value
