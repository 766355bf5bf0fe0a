"""The checks of single values in a partner's table. Each raises `ValueError` with what the value must be."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from sidecar.core.allow_list import read_rule
from sidecar.core.closest import did_you_mean
from sidecar.core.model import Secret
from sidecar.core.partner_table import SignProbe
from sidecar.core.signing import PublishedSignature, SigningRecipe

Check: TypeAlias = Callable[[object], Any]
"""Returns the value. Raises `ValueError` with what it must be."""

_PATH = re.compile(r"(/[A-Za-z0-9_.~!$&'()+,=:@*-]+)+/?")
_DOTS = re.compile(r"/\.\.?(/|$)")
_FIELD = re.compile(r"[^\s.]{1,64}")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_HEADER_VALUE = re.compile(r"[!-~]|[!-~][ -~]{0,4094}[!-~]")
_UNUSUAL = re.compile(r"[^A-Za-z0-9_-]")
_SHOWN_CHARACTERS = 64
_MAX_CHARACTERS = 4096
_MAX_PATH_CHARACTERS = 256
_MOST_BITS = 63
"""As JSON readers of every language have it."""
_RESERVED_HEADERS = frozenset(
    ("host", "content-length", "content-type", "content-encoding", "transfer-encoding", "connection", "keep-alive",
     "te", "trailer", "upgrade", "expect", "user-agent", "accept-encoding", "cookie", "set-cookie",
     "proxy-authorization", "proxy-connection", "via", "date", "server", "etag", "cache-control", "origin", "forwarded",
     "token-header", "token-id", "token-suspect")
)  # fmt: skip
"""Of requests to the partner, or of the responses of `/v1/authorize`, which have the token's header beside them."""
_RESERVED_PREFIXES = ("sidecar-", "sec-", "x-forwarded-")
SHORTEST_SECRET = 8
"""In characters. Shorter constants are no secrets, and to mask them would mask words."""
SECRET_NAME = re.compile(r"key|secret|token|passw|pwd|credential|authorization|signature", re.IGNORECASE)


def shown_key(key: str) -> str:
    """Return an unknown key as it may stand in a line: in the characters of known ones, and cut."""
    return _UNUSUAL.sub("?", key)[:_SHOWN_CHARACTERS]


def printable(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable() or len(value) > _MAX_CHARACTERS:
        raise ValueError(f"must be printable text of at most {_MAX_CHARACTERS} characters")
    return value


def url_path(value: object) -> str:
    if not isinstance(value, str) or not _PATH.fullmatch(value) or len(value) > _MAX_PATH_CHARACTERS:
        raise ValueError("must be a path such as /v2/session, without a query")
    if _DOTS.search(value):
        raise ValueError("must be a path without dot segments")
    return value


def field_name(value: object) -> str:
    if not isinstance(value, str) or not _FIELD.fullmatch(value) or not value.isprintable():
        raise ValueError("must be the name of one field, without dots and spaces")
    return value


def header_name(value: object) -> str:
    if not isinstance(value, str) or not _HEADER.fullmatch(value):
        raise ValueError("must be the name of a header, such as X-Api-Key")
    if value.lower() in _RESERVED_HEADERS or value.lower().startswith(_RESERVED_PREFIXES):
        raise ValueError(f"must not be {value}, which has another use here")
    return value


def dotted(value: object) -> str:
    if isinstance(value, str) and len(value) <= _MAX_PATH_CHARACTERS:
        parts = value.split(".")
        if all(_FIELD.fullmatch(part) and part.isprintable() for part in parts):
            return value
    raise ValueError("must be the name of a field, or names joined by dots such as data.token")


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


def success_status(value: object) -> int:
    if type(value) is not int or value not in (200, 201):
        raise ValueError("must be 200 or 201")
    return value


def fields(value: object) -> Mapping[str, str | int | bool | Secret]:
    """Return the fields. Those with the name of a secret are a `Secret`."""
    if not isinstance(value, dict):
        raise ValueError('must be a table of fields, such as { role = "API_USER" }')  # noqa: TRY004 - as every check
    return {_inner(field_name, name): _field(name, content) for name, content in value.items()}


def _field(name: str, content: object) -> str | int | bool | Secret:
    if isinstance(content, bool) or (isinstance(content, int) and content.bit_length() <= _MOST_BITS):
        return content
    if isinstance(content, str) and content.isprintable() and len(content) <= _MAX_CHARACTERS:
        return _hidden(name, content)
    raise ValueError(f"must have printable text, a whole number, true or false for {name}")


def headers(value: object) -> Mapping[str, str | Secret]:
    """Return the headers. Those with the name of a secret are a `Secret`."""
    if not isinstance(value, dict):
        raise ValueError('must be a table of headers, such as { Accept = "application/json" }')  # noqa: TRY004 - as every check
    return {_inner(header_name, name): _header(name, content) for name, content in value.items()}


def _header(name: str, content: object) -> str | Secret:
    if isinstance(content, str) and _HEADER_VALUE.fullmatch(content):
        return _hidden(name, content)
    raise ValueError(f"must have visible ASCII text for {name}, without spaces around it")


def _inner(check: Check, name: object) -> str:
    """Return a name in a table. Raises `ValueError` that says that it is about a name."""
    try:
        return str(check(name))
    except ValueError as error:
        raise ValueError(f"has a name that {error}") from None


def _hidden(name: str, content: str) -> str | Secret:
    return Secret(content) if SECRET_NAME.search(name) and len(content) >= SHORTEST_SECRET else content


def media_type(value: object) -> str:
    if (
        not isinstance(value, str)
        or len(value) > 256
        or not re.fullmatch(r"[\w.+-]+/[\w.+-]+(; ?[\w-]+=[\w-]+)*", value, re.ASCII)
    ):
        raise ValueError("must be a media type such as application/json")
    return value


def base_url(value: object) -> str:
    if isinstance(value, str) and re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", value) and value.isprintable():
        try:
            parts = urlsplit(value)
            if parts.hostname and parts.port != 0:
                return value.rstrip("/")
        except ValueError:
            pass
    raise ValueError("must be a URL such as https://api.example.com")


def token_scheme(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9._~+/-]{0,32}", value):
        raise ValueError('must be a word such as Bearer, or "" to send the token alone')
    return value


def allow_rules(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError('must be a list such as ["GET /v2/*"]')  # noqa: TRY004 - as every check
    return tuple(str(read_rule(printable(rule))) for rule in value)


def signing_recipe(value: object) -> SigningRecipe:
    found = _part(value, ("parts", "timestamp_header", "signature_header", "encoding"))
    parts = found["parts"]
    if parts not in (["body"], ["body", "timestamp"], ["timestamp", "body"]):
        raise ValueError('must have parts = ["timestamp", "body"] or ["body", "timestamp"], or ["body"] alone')
    return SigningRecipe(
        parts=tuple(parts),
        timestamp_header=_of(found, "timestamp_header", header_name),
        signature_header=_of(found, "signature_header", header_name),
        encoding=_of(found, "encoding", one_of("hex", "base64")),
    )


def published_signature(value: object) -> PublishedSignature:
    found = _part(value, ("key", "timestamp", "body", "signature"))
    texts = {name: _of(found, name, printable) for name in found}
    return PublishedSignature(**texts | {"key": Secret(texts["key"])})


def sign_probe(value: object) -> SignProbe:
    found = _part(value, ("path", "content_type"))
    return SignProbe(
        path=_of(found, "path", url_path),
        content_type=_of(found, "content_type", media_type),
    )


def _part(value: object, keys: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"must be a table with {', '.join(keys)}")  # noqa: TRY004 - as every check
    for key in value:
        if key not in keys:
            raise ValueError(f"has {shown_key(str(key))}, which it does not know{did_you_mean(str(key), keys)}")
    if missing := [key for key in keys if key not in value]:
        raise ValueError(f"must have {', '.join(missing)} as well")
    return value


def _of(found: Mapping[str, Any], key: str, check: Check) -> Any:  # noqa: ANN401 - what the check returns
    """Return one value of an inner table. Raises `ValueError` that names its key."""
    try:
        return check(found[key])
    except ValueError as error:
        raise ValueError(f"has {key}, which {error}") from None
