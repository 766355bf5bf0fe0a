"""The gateway's list: what passes is listed, and leads nowhere else, however carelessly a server reads the path.

An input has a rule in each line, and in the last one a method and a target. Without rules those of the preset count.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from urllib.parse import unquote_to_bytes

from yarl import URL

from sidecar.core.allow_list import AllowList, AllowRule, read_rule
from sidecar.partner.presets import PRESETS
from tests.fuzz.findings import hold

WORDS = (
    b"GET /api/pay1st/", b"POST /api/pay1st/payments/create", b"GET /*\n", b"auth", b"AUTH", b"auth/token", b"%61uth",
    b"/../", b"/./", b"//", b"..;", b";x=1", b"%2e", b"%2E%2e", b"%252e", b"%2f", b"%5c", b"\\", b"%00", b"%20", b"+",
    b"...", b"(S(x))", b"%c0%ae", b"%u002e", b"%ef%bc%8e", b"\xef\xbc\x8e", b"#", b"?", b"?x=%2F", b"*", b"\n",
    b"http://localhost/", b"/api/distributors/", b"HEAD ", b"CONNECT ", b"TRACE ",
)  # fmt: skip
BASE = "https://partner.test"
AUTHENTICATION = [preset.authentication_path for preset in PRESETS.values()]
_SIGN_IN = re.compile(r"/api/(pay1st|distributors)/auth(/|$)")
"""The same paths, written once more."""
_PLAIN = re.compile(r"(/[A-Za-z0-9_-]+)+(\?[a-z0-9=&]+)?")
Change = Callable[[str], str]


def check(data: bytes) -> None:
    """Read the rules, and hold each request that passes to every careless reading."""
    *lines, last = data.decode("latin-1").split("\n")
    method, _, target = last.partition(" ")
    rules = list(_rules(lines)) or [read_rule(text) for text in PRESETS["pay1st"].gateway_allow]
    allows = AllowList(rules, AUTHENTICATION).allows(method, target)
    fitting = [rule for rule in rules if _fits(rule, method, target.partition("?")[0])]
    if not allows:
        plain = _PLAIN.fullmatch(target) is not None and not _SIGN_IN.match(target.lower().partition("?")[0])
        hold(true=not (plain and fitting), what=f"{last!r} does not pass {fitting[:1]}")
        return
    hold(true=bool(fitting), what=f"{last!r} passes, and no rule lists it")
    hold(true=method not in ("CONNECT", "TRACE"), what=f"{last!r} passes")
    hold(true=re.fullmatch("[!-~]+", target) is not None and "#" not in target, what=f"{target!r} is no plain target")
    sent = URL(BASE + target, encoded=True).raw_path_qs
    # Without a query, the client leaves the question mark out.
    hold(true=sent in (target, target.removesuffix("?")), what=f"{target!r} is sent as {sent!r}")
    for reading in READINGS:
        _hold_reading(reading, target.partition("?")[0], fitting)


def _rules(lines: Sequence[str]) -> Iterator[AllowRule]:
    for line in lines:
        try:
            rule = read_rule(line)
        except ValueError:
            continue
        hold(true=read_rule(str(rule)) == rule, what=f"{line!r} is shown as another rule, {rule}")
        example = rule.path + "x" if rule.prefix else rule.path
        hold(true=AllowList([rule], []).allows(rule.method, example), what=f"the rule {rule} never matches")
        yield rule


def _fits(rule: AllowRule, method: str, path: str) -> bool:
    return rule.method == method and (path == rule.path or (rule.prefix and path.startswith(rule.path)))


def _hold_reading(reading: Sequence[Change], path: str, fitting: Sequence[AllowRule]) -> None:
    """Fail unless the path as it is read stays in the folder of a rule, and is none of authentication."""
    read = _resolved(reading, path)
    what = f"{path!r} is read as {read!r}"
    hold(true=_SIGN_IN.match(read.lower()) is None, what=what)
    folders = [rule.path.rpartition("/")[0] if rule.prefix else rule.path for rule in fitting]
    hold(true=any(_is_in(read, _resolved(reading, folder)) for folder in folders), what=what)


def _is_in(read: str, folder: str) -> bool:
    return read == folder or read.startswith(folder.rstrip("/") + "/")


def _resolved(reading: Sequence[Change], path: str) -> str:
    for change in reading:
        path = change(path)
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            segments = segments[:-1]
        elif segment not in ("", "."):
            segments.append(segment)
    return "/" + "/".join(segments)


def _decoded(path: str) -> str:
    """Decode once, also what is no valid UTF-8: overlong dots and slashes, and `%u002e`."""
    path = re.sub("%u00([0-9A-Fa-f]{2})", r"%\1", path)
    raw = unquote_to_bytes(path.encode("utf-8", "surrogatepass"))
    raw = re.sub(rb"[\xc0\xc1][\x80-\xbf]", lambda two: bytes([(two[0][0] & 3) << 6 | two[0][1] & 0x3F]), raw)
    raw = re.sub(rb"\xef\xbc[\x81-\xbf]", lambda wide: bytes([wide[0][2] - 0x60]), raw)
    return raw.decode("utf-8", "replace")


def _by_segment(change: Change) -> Change:
    return lambda path: "/".join(map(change, path.split("/")))


def _unchanged(path: str) -> str:
    return path


def _slashes(path: str) -> str:
    return path.replace("\\", "/")


_DECODINGS: Sequence[Sequence[Change]] = (
    (),
    (_decoded,),
    (_decoded, _decoded),
    (_decoded, _decoded, _decoded),
    (lambda path: _decoded(path).replace("+", " "),),
)
_CUTS: Sequence[Change] = (
    _unchanged,
    _by_segment(lambda segment: segment.partition(";")[0]),
    _by_segment(lambda segment: segment if set(segment) <= {"."} else re.split(r"[.,;:=&!$'()*~@+ ]", segment)[0]),
    lambda path: re.split(r"[?#\x00\r\n]", path)[0],
    lambda path: re.sub(r"[\x00-\x1f\x7f]", "", path),
)
_TRIMS: Sequence[Change] = (
    _unchanged,
    _by_segment(str.strip),
    # Windows: dots and spaces at the end, but not those of a dot segment.
    _by_segment(lambda segment: segment.strip() if segment.strip() in (".", "..") else segment.rstrip(". ")),
    _by_segment(lambda segment: segment.strip(" .") or segment.strip()),
    _by_segment(lambda segment: "" if segment.startswith("(") else segment),
    _by_segment(lambda segment: ".." if set(segment) == {"."} and len(segment) > 1 else segment),
)
READINGS: Sequence[Sequence[Change]] = [
    (*decodings, _slashes, cut, trim) for decodings, cut, trim in product(_DECODINGS, _CUTS, _TRIMS)
]
"""Each what one careless server does to a path before it resolves dot segments."""
