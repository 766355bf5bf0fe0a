"""Parsers of settings, one function per form. Each raises `ValueError` with the required form, never with the value."""

from __future__ import annotations

import ipaddress
import math
import re
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import SplitResult, urlsplit

from sidecar.core.account import account_named
from sidecar.core.model import Address, Budget, Secret
from sidecar.core.proxies import is_loopback

if TYPE_CHECKING:
    from sidecar.core.allow_list import AllowRule

T = TypeVar("T")

MAX_ACCOUNT_CHARACTERS = 128

_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")  # stricter than float(): no sign, nan, inf, exponent or underscore


def number(
    low: float, high: float, what: str = "a number of seconds", *, above: bool = False
) -> Callable[[str], float]:
    """Make a parser for finite decimals from `low` to `high`; with `above`, `low` itself is excluded."""
    start = f"above {low:.12g}, at most" if above else f"from {low:.12g} to"

    def parse(text: str) -> float:
        value = float(text) if _NUMBER.fullmatch(text) else math.nan
        if not (low < value <= high if above else low <= value <= high):  # nan fails both
            raise ValueError(f"must be {what} {start} {high:.12g}")
        return value

    return parse


def whole(low: int, high: int) -> Callable[[str], int]:
    """Make a parser for whole numbers from `low` to `high`."""

    def parse(text: str) -> int:
        # The length is checked first: int() of a very long text raises an error of its own.
        if not re.fullmatch(r"[0-9]{1,12}", text) or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return parse


def one_of(**choices: T) -> Callable[[str], T]:
    """Make a parser for a closed set of words that ignores case: INFO and True are valid."""

    def parse(text: str) -> T:
        if text.lower() not in choices:
            raise ValueError(f"must be {' or '.join(choices)}")
        return choices[text.lower()]

    return parse


def items(parse_one: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """Make a parser for a comma-separated list without repetitions."""

    def parse(text: str) -> tuple[T, ...]:
        try:
            values = tuple(parse_one(part.strip()) for part in text.split(",") if part.strip())
        except ValueError as error:
            raise ValueError(f"{error}; several are comma separated") from None
        if not values:
            raise ValueError("must name at least one, comma separated")
        if any(value in values[:at] for at, value in enumerate(values)):
            raise ValueError("must not name the same one twice")
        return values

    return parse


def set_of(parse_one: Callable[[str], T]) -> Callable[[str], frozenset[T]]:
    """Make a parser like `items` for values whose order has no meaning."""
    parse_all = items(parse_one)
    return lambda text: frozenset(parse_all(text))


def budget(text: str) -> Budget:
    """Parse `calls/seconds`. The calls are limited because the store keeps an exact record of the window."""
    calls, _, window = text.partition("/")
    try:
        return Budget(whole(1, 1000)(calls.strip()), number(0, 86_400, above=True)(window.strip()))
    except ValueError:
        raise ValueError(
            "must be calls/seconds such as 6/60: 1 to 1000 calls in a window above 0, at most 86400 s"
        ) from None


def path(text: str) -> Path:
    """Parse a path, which need not exist. A null byte would later raise an error that is not an `OSError`."""
    if "\0" in text:
        raise ValueError("must not contain a null byte")
    return Path(text)


def secret(text: str) -> Secret:
    """Parse printable text: an HTTP header cannot hold a line break or control character."""
    if not text.isprintable():
        raise ValueError("must not contain control characters or line breaks")
    return Secret(text)


def word(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.:-]{1,64}", text):
        raise ValueError("must be 1 to 64 letters, digits, '_', '.', ':' or '-'")
    return text


def scope(text: str) -> str:
    """Parse scopes: RFC 6749 section 3.3."""
    if not re.fullmatch(r"[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*", text):
        raise ValueError("must be words of visible ASCII without quotes, separated by single spaces")
    return text


def printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be printable text")
    return text


def account(text: str) -> str:
    """Parse a name that the operator chooses. NFC makes names equal that look the same."""
    name = unicodedata.normalize("NFC", text)
    if not 1 <= len(name) <= MAX_ACCOUNT_CHARACTERS or not name.isprintable():
        raise ValueError(
            f"must be 1 to {MAX_ACCOUNT_CHARACTERS} printable characters, or left out: then the API key is the account"
        )
    return account_named(name)


def allowed_host(text: str) -> str:
    """Parse a `Host` value, with a port if callers send one."""
    if not re.fullmatch(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?", text):
        raise ValueError("must be host names as callers send them, such as sidecar.internal or sidecar.internal:8181")
    return text.lower()


def allow_rule(text: str) -> AllowRule:
    """Parse `METHOD /path`, where `*` at the end stands for what follows."""
    # Imported here: without a gateway nobody needs it.
    from sidecar.core.allow_list import read_rule

    return read_rule(text)


def base_url(text: str) -> str:
    """Parse an absolute http or https URL. A path prefix is kept, a slash at the end is removed."""
    parts = _split(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be a URL such as https://api.example.com")
    if "@" in parts.netloc:
        raise ValueError("must not contain a user name or password: credentials have settings of their own")
    if "?" in text or "#" in text or not text.isprintable() or " " in text:
        raise ValueError("must not contain a query, a fragment or white space")
    return text.rstrip("/")


def _split(text: str) -> SplitResult:
    """Split a URL and check its port, which `urlsplit` does not. Replaces the library's errors: they quote the text."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ValueError("must be a URL with a valid host and port") from None
    return parts


MAX_SOCKET_PATH_BYTES = 103
"""The shortest `sun_path` of the supported systems (macOS: 104 with the terminating null; Linux: 108)."""


def address(text: str) -> Address:
    """Parse a listener address: `host:port`, `:port`, `unix:/path` or `unix:@name`."""
    if text.startswith("unix:"):
        return _socket(text.removeprefix("unix:"))
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError("must be host:port such as 127.0.0.1:8181 or [::1]:8181, :port, or unix:/path")
    if not host:
        return Address(port=int(port))
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not _is_host(bare, bracketed=bare != host):
        raise ValueError("must have a host name or address before the port; IPv6 addresses go in brackets")
    return Address(host=bare, port=int(port))


def is_local(where: Address) -> bool:
    """Return whether only this machine can reach the address."""
    return bool(where.path) or is_loopback(where.host)


def _socket(path: str) -> Address:
    if path.startswith("@"):
        return _abstract_socket(path)
    path = "/" + path.lstrip("/") if path.startswith("/") else path  # unix:/x and unix:///x are the same
    # With a null byte the system would make a socket of another name. Text that is not UTF-8 has no length in bytes.
    if not path.startswith("/") or path.endswith("/") or not path.isprintable():
        raise ValueError(
            "must name an absolute path of printable characters, such as unix:/run/vend.sock, or unix:@name"
        )
    if len(path.encode()) > MAX_SOCKET_PATH_BYTES:
        raise ValueError(f"must have a socket path of at most {MAX_SOCKET_PATH_BYTES} bytes, the system's limit")
    return Address(path=path)


def _abstract_socket(path: str) -> Address:
    """Parse a name without a file. It is visible in the network namespace, which a pod's containers share (unix(7))."""
    if not sys.platform.startswith("linux"):
        raise ValueError("must not name an abstract socket: only Linux has them")
    if not path.isascii() or not path.isprintable() or not 1 < len(path) <= MAX_SOCKET_PATH_BYTES:
        raise ValueError(f"must have 1 to {MAX_SOCKET_PATH_BYTES - 1} printable ASCII characters after unix:@")
    return Address(path=path)


def _is_host(host: str, *, bracketed: bool) -> bool:
    try:
        return (ipaddress.ip_address(host).version == 6) == bracketed
    except ValueError:
        return not bracketed and re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", host) is not None
