"""Masks secrets in a partner's text, in all common encodings.

The text is decoded step by step, and each decoded character keeps its position in the original. Each step is reduced to
letters and digits without case, which most encodings keep. The secrets, their hexadecimal form and their base64 are
reduced in the same way and searched for. A list of encoded forms would need an entry for each combination.

That is too slow for each log line. `telemetry.redaction` searches log lines for the literal secrets: only a partner,
which receives our secrets, writes them in another form.
"""

from __future__ import annotations

import base64
import html
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

from sidecar.core.errors import printable

MASK = "***"
MAX_SHOWN_CHARS = 2048
"""The most characters of a text that may be shown; `PartnerDetail` shows fewer."""
_SEARCHED_CHARS = 2 * MAX_SHOWN_CHARS
"""A secret that begins within `MAX_SHOWN_CHARS` may end after it."""
_NEEDLE_CHARS = 256
"""Longer secrets are found by their first characters, even if the rest was cut off, and masked to their length."""
_SHORTEST_ENCODED = 6
"""Shorter base64 and hexadecimal forms are not searched for: they occur in words."""
# Characters of base64 and of its escapes. The whole word is masked: its ends may contain bits of the secret.
_WORDS = re.compile(r"[\w+/=%\\-]+")

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

Span = tuple[int, int]
"""Start and end of a part of a text; the end is exclusive."""
Decoded = tuple[str, Sequence[Span]]
"""A decoded text, and the place in the original of each of its characters."""
Fold = Callable[[str], str]
"""Reduces one character; the result is empty if the character is ignored."""


def _letters(char: str) -> str:
    return char.casefold() if char.isalnum() else ""


def _visible(char: str) -> str:
    return char.casefold() if char.isprintable() and not char.isspace() else ""


_FOLDS: Sequence[tuple[Fold, int]] = ((_letters, 8), (_visible, 6), (str, 1))
"""Each fold, the coarsest first, with the fewest folded characters of a secret: shorter ones would match words."""


@dataclass(frozen=True, slots=True)
class _Needle:
    """A form of a secret to search for. `text` is the beginning of the folded form, which has `chars` characters."""

    fold: Fold
    text: str
    chars: int
    head: str
    tail: str
    """The characters that the fold drops at the ends, for example `==`. They are masked if present."""
    in_word: bool
    """Whether the rest of the word around it is masked too."""


class Masker:
    """Masks `secrets` in texts; empty ones are ignored."""

    def __init__(self, secrets: Iterable[str]) -> None:
        needles = {_needle(form, in_word) for secret in secrets if secret for form, in_word in _forms(secret)}
        self._needles = {fold: [needle for needle in needles if needle.fold is fold] for fold, _ in _FOLDS}

    def mask(self, text: str) -> str:
        """Return the printable text with `MASK` for each secret, and for all text after `MAX_SHOWN_CHARS`.

        Secrets are found in percent-encoding, JSON and HTML escapes, quoted-printable, hexadecimal and base64 (each
        alphabet, any alignment), escaped again, in another case, and with spaces or punctuation in between. Parts of a
        secret and other encodings are not found. In a secret with fewer than eight letters and digits only spaces in
        between are ignored; with fewer than six visible characters neither spaces nor case.
        """
        searched = printable(text[:_SEARCHED_CHARS])
        found = {match for decoded in _decodings(searched) for match in self._found(*decoded)}
        spans = {span for needle, span in found if not needle.in_word}
        spans |= _words_around({span for needle, span in found if needle.in_word}, searched)
        if len(text) > MAX_SHOWN_CHARS:
            spans.add((MAX_SHOWN_CHARS, len(searched)))
        return _masked(searched, spans)

    def _found(self, text: str, spans: Sequence[Span]) -> Iterator[tuple[_Needle, Span]]:
        for fold, needles in self._needles.items():
            folded, places = _folded(text, fold)
            for needle in needles:
                for at in _positions(needle.text, folded):
                    first, last = places[at], places[min(at + needle.chars, len(places)) - 1]
                    first = _extended(text, range(first - 1, -1, -1), needle.head[::-1], fold, first)
                    last = _extended(text, range(last + 1, len(text)), needle.tail, fold, last)
                    yield needle, (spans[first][0], spans[last][1])


def _forms(secret: str) -> Iterator[tuple[str, bool]]:
    """Yield the forms of the secret in a decoded text, and whether the form is a part of a word."""
    shown = printable(secret)
    yield shown, False
    for decoded, _ in _decodings(shown):
        # Escapes in the secret itself are decoded together with the text around it.
        if sum(1 for char in decoded if _visible(char)) >= _FOLDS[1][1]:
            yield decoded, False
    # JSON can contain half a surrogate pair, which strict UTF-8 rejects.
    content = secret.encode(errors="surrogatepass")
    encoded = [(content.hex(), False)]
    # OAuth clients percent-encode a secret before it becomes base64.
    for inner in {content, quote(content, safe="").encode(), quote_plus(content).encode()}:
        encoded += [(form, True) for form in _within_base64(inner)]
    yield from (form for form in encoded if len(form[0]) >= _SHORTEST_ENCODED)


def _within_base64(content: bytes) -> Iterator[str]:
    """Yield `content` in base64, and the invariant part of the base64 of any longer text that contains `content`."""
    alone = base64.b64encode(content).decode()
    found = [alone, alone.rstrip("=")]
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + content + b"\0\0").decode()
        found.append(whole[(before * 8 + 5) // 6 : (before + len(content)) * 8 // 6])
    for form in found:
        yield from (form, form.replace("+", "-").replace("/", "_"))


def _needle(form: str, in_word: bool) -> _Needle:
    for fold, shortest in _FOLDS:
        folded, places = _folded(form, fold)
        if len(folded) >= shortest:
            break
    head, tail = form[: places[0]], form[places[-1] + 1 :]
    return _Needle(fold, folded[:_NEEDLE_CHARS], len(folded), head, tail, in_word)


def _folded(text: str, fold: Fold) -> tuple[str, Sequence[int]]:
    """Return the folded text, and the position in `text` of each of its characters."""
    parts = [fold(char) for char in text]
    return "".join(parts), [at for at, part in enumerate(parts) for _ in part]


def _extended(text: str, places: Iterable[int], ending: str, fold: Fold, end: int) -> int:
    """Return the last of `places` with a character of `ending`, before any that the fold keeps; else `end`."""
    left = iter(ending)
    wanted = next(left, None)
    for at in places:
        if wanted is None or fold(text[at]):
            break
        if text[at] == wanted:
            end, wanted = at, next(left, None)
    return end


def _positions(needle: str, text: str) -> Iterator[int]:
    """Yield every position, also overlapping ones: the needle may repeat a part of itself."""
    at = text.find(needle)
    while at >= 0:
        yield at
        at = text.find(needle, at + 1)


def _words_around(spans: set[Span], text: str) -> set[Span]:
    """Return the spans, each extended to the whole words in which it begins and ends."""
    words = [match.span() for match in _WORDS.finditer(text)] if spans else []
    starts, ends = [start for start, _ in words], [end for _, end in words]
    widened = set()
    for start, end in spans:
        first, last = bisect_right(starts, start) - 1, bisect_left(ends, end)
        inside_first, inside_last = first >= 0 and start < ends[first], last < len(words) and starts[last] < end
        widened.add((starts[first] if inside_first else start, ends[last] if inside_last else end))
    return widened


def _masked(text: str, spans: Iterable[Span]) -> str:
    shown: list[str] = []
    done = 0
    for start, end in sorted(spans):
        if start >= done:
            shown += [text[done:start], MASK]
        done = max(done, end)
    return "".join((*shown, text[done:]))


def _decodings(text: str) -> Iterator[Decoded]:
    """Yield the original text, and the text after each round of decoding, each with and without quoted-printable.

    Percent-encoding, the escapes of JSON and JavaScript, and HTML entities are decoded in one round, in any
    combination. Time and memory are linear in the length of `text`.
    """
    spans: Sequence[Span] = [(at, at + 1) for at in range(len(text))]
    for _ in range(_ROUNDS + 1):
        yield text, spans
        quoted, decoded = _decoded(text, spans, _QUOTED_PRINTABLE), _decoded(text, spans, _ESCAPES)
        if quoted[0] != text:
            yield quoted
        if decoded[0] == text:
            return
        text, spans = decoded


def _decoded(text: str, places: Sequence[Span], escapes: re.Pattern[str]) -> Decoded:
    chars: list[str] = []
    spans: list[Span] = []
    done = 0
    for match in escapes.finditer(text):
        chars += text[done : match.start()]
        spans += places[done : match.start()]
        for char, start, end in _characters(match):
            chars.append(char)
            spans.append((places[start][0], places[end - 1][1]))
        done = match.end()
    return "".join(chars) + text[done:], [*spans, *places[done:]]


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
        # A byte that is not UTF-8 is read as ISO 8859-1. Half of a surrogate pair is a character of its own.
        codec = ("utf-8", "surrogateescape") if group == "utf8" else ("utf-16-be", "surrogatepass")
        for char in bytes.fromhex(digits).decode(*codec):
            end = start + len(char.encode(*codec)) * width
            is_byte = group == "utf8" and "\udc80" <= char <= "\udcff"
            yield chr(ord(char) - 0xDC00) if is_byte else char, start, end
            start = end
