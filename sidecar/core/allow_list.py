"""Which requests may pass the gateway: a list of methods and paths.

Servers differ in how they read a path: some resolve dot segments, join slashes, decode `%2F`, cut `;parameters` or
ignore case. So a path with anything of that kind does not pass at all, whatever the rules are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

METHOD = re.compile(r"[A-Z]{1,20}")
_NEVER = ("CONNECT", "TRACE")
"""A tunnel has no path. TRACE repeats the request with the token in the response (RFC 9110 section 9.3.8)."""
_PLAIN_PATH = re.compile(r"(?:/(?:[A-Za-z0-9_.~!$&'()+,=:@*-]|%[0-9A-Fa-f]{2})*)+")
"""Path characters of RFC 3986 section 3.3 but `;`, which some servers cut off with what follows."""
_PLAIN_QUERY = re.compile(r"(?:[A-Za-z0-9_.~!$&'()*+,;=:@/?\[\]{}|^`\"<>\\-]|%[0-9A-Fa-f]{2})*")
"""More than RFC 3986 allows, since clients send more, but no space, control character, `#` or byte above 127."""
_ESCAPES = frozenset(map(chr, range(0x20, 0x7F))) - frozenset("/\\.%;?#")
"""What may be written as a percent escape in a path. Some servers fold others into dots or slashes."""

_TRIMMED = " +."
"""What some servers cut off at the ends of a segment. A plus is a space to some of them."""
_NAME = re.compile(r"^[ +.]*([a-z0-9_-]*)")


@dataclass(frozen=True, slots=True)
class AllowRule:
    """`path` is a whole path, or with `prefix` what it begins with."""

    method: str
    path: str
    prefix: bool

    def __str__(self) -> str:
        return f"{self.method} {self.path}{'*' if self.prefix else ''}"


def read_rule(text: str) -> AllowRule:
    """Read `METHOD /path`, with `*` for any further characters at the end. Raises `ValueError`."""
    method, _, path = text.strip().partition(" ")
    path = path.strip()
    if METHOD.fullmatch(method) is None or method in _NEVER:
        raise ValueError("must have a method in capitals, but not CONNECT or TRACE, and a path, such as GET /payments*")
    prefix = path.endswith("*")
    path = path.removesuffix("*")
    if "*" in path:
        raise ValueError("must have '*' only as the last character of a path")
    if not path.startswith("/"):
        raise ValueError("must have a path that begins with '/' after the method, such as GET /payments*")
    if not _has_one_reading(path + "x" if prefix else path):
        raise ValueError(
            "must have a plain path: one with an empty or dot segment, ';', '?', '#' or an escaped '/' or '.' never "
            "matches"
        )
    return AllowRule(method, path, prefix)


class AllowList:
    """The rules of one profile. `authentication` are paths that never pass, nor anything below them."""

    def __init__(self, rules: Iterable[AllowRule], authentication: Iterable[str]) -> None:
        self.rules = tuple(rules)
        self._authentication = tuple(map(_careless, authentication))

    def allows(self, method: str, target: str) -> bool:
        """Whether a request passes; `target` as in its first line (RFC 9112 section 3.2): path and query."""
        path, _, query = target.partition("?")
        return (
            _has_one_reading(path)
            and _PLAIN_QUERY.fullmatch(query) is not None
            and not self.authenticates(path)
            and any(
                rule.method == method and (path.startswith(rule.path) if rule.prefix else path == rule.path)
                for rule in self.rules
            )
        )

    def authenticates(self, path: str) -> bool:
        """Whether the path is one of authentication, in any spelling that a server may take for it.

        Some servers trim segments, drop those in parentheses (the sessions of ASP.NET), or ignore what follows a name.
        """
        return _careless(path).startswith(self._authentication)


def _careless(path: str) -> str:
    """Return the names in the path, in lower case, each with a slash behind it."""
    names = (_NAME.findall(segment)[0] for segment in unquote(path).lower().split("/"))
    return "".join(f"{name}/" for name in names if name)


def _has_one_reading(path: str) -> bool:
    """Whether every server reads this path as it is written."""
    if _PLAIN_PATH.fullmatch(path) is None:
        return False
    if not all(chr(int(escape, 16)) in _ESCAPES for escape in re.findall(r"%(..)", path)):
        return False
    # Empty segments, dot segments, and what becomes one of them when it is trimmed. Only the last may be empty.
    *inner, last = unquote(path).split("/")[1:]
    return all(segment.strip(_TRIMMED) for segment in (*inner, last or "x"))
