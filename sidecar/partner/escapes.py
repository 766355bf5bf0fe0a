"""Decodes the escapes in a text, and keeps the position of each decoded character in the original."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Span = tuple[int, int]
"""Start and end of a part of a text; the end is exclusive."""

_ROUNDS = 4
"""How many times escapes are decoded: `%25252F` takes three rounds."""
_ESCAPES = re.compile(
    r"(?P<utf8>(?:%[0-9a-f]{2})+|(?:\\x[0-9a-f]{2})+)"
    r"|(?P<utf16>(?:[\\%]u[0-9a-f]{4})+)"
    r"|\\(?P<one>[\"'\\/bfnrt])"
    r"|&(?:#[0-9]{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,30});",
    re.IGNORECASE,
)
# Separate, because in many query strings `=` comes before two hexadecimal digits, too.
_QUOTED_PRINTABLE = re.compile(r"(?P<utf8>(?:=[0-9a-f]{2})+)", re.IGNORECASE)
_CONTROL = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True, slots=True)
class Reading:
    """A decoded text; `spans` has the place in the original of each of its characters."""

    text: str
    spans: Sequence[Span]


def readings(text: str) -> Iterator[Reading]:
    """Yield the original text, and the text after each round of decoding, each with and without quoted-printable.

    Percent-encoding, the escapes of JSON and JavaScript, and HTML entities are decoded in one round, in any
    combination. Time and memory are linear in the length of `text`.
    """
    reading = Reading(text, [(at, at + 1) for at in range(len(text))])
    for _ in range(_ROUNDS + 1):
        yield reading
        quoted, decoded = _decoded(reading, _QUOTED_PRINTABLE), _decoded(reading, _ESCAPES)
        if quoted.text != reading.text:
            yield quoted
        if decoded.text == reading.text:
            return
        reading = decoded


def _decoded(reading: Reading, escapes: re.Pattern[str]) -> Reading:
    chars: list[str] = []
    spans: list[Span] = []
    done = 0
    for match in escapes.finditer(reading.text):
        chars += reading.text[done : match.start()]
        spans += reading.spans[done : match.start()]
        for char, start, end in _characters(match):
            chars.append(char)
            spans.append((reading.spans[start][0], reading.spans[end - 1][1]))
        done = match.end()
    return Reading("".join(chars) + reading.text[done:], [*spans, *reading.spans[done:]])


def _characters(match: re.Match[str]) -> Iterator[tuple[str, int, int]]:
    """Yield each character that an escape encodes, with the start and the end of its escape in the text."""
    written, (start, end), group = match[0], match.span(), match.lastgroup
    if group == "one":
        yield _CONTROL.get(match["one"], match["one"]), start, end
    elif group is None:
        for char in html.unescape(written):
            yield char, start, end
    else:
        digits = re.sub(r"[\\%][xu]?|=", "", written, flags=re.IGNORECASE)
        width = 2 * len(written) // len(digits)  # characters for each byte
        at = start
        for char, size in _utf8(digits) if group == "utf8" else _utf16(digits):
            yield char, at, at + size * width
            at += size * width


def _utf8(digits: str) -> Iterator[tuple[str, int]]:
    """Yield each character and its number of bytes. Bytes that are not UTF-8 are decoded as ISO 8859-1."""
    for char in bytes.fromhex(digits).decode("utf-8", "surrogateescape"):
        if "\udc80" <= char <= "\udcff":
            yield chr(ord(char) - 0xDC00), 1
        else:
            yield char, len(char.encode())


def _utf16(digits: str) -> Iterator[tuple[str, int]]:
    """Yield each character and its number of bytes. Half of a surrogate pair is a character."""
    for char in bytes.fromhex(digits).decode("utf-16-be", "surrogatepass"):
        yield char, len(char.encode("utf-16-be", "surrogatepass"))
