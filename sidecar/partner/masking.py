"""Masks secrets in a partner's text, in whatever form the partner writes them.

The text is decoded step by step, and each step is reduced to what no rewriting changes: letters and digits without
regard to case. The secrets, their hexadecimal form and their base64 are reduced in the same way and looked for. A list
of spellings would have to name each combination.

That is too slow for each log line. `telemetry.redaction` searches those for the secrets as they are: only a partner,
who is sent our secrets, writes them in another form.
"""

from __future__ import annotations

import base64
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from urllib.parse import quote, quote_plus

from sidecar.core.failures import printable
from sidecar.partner.escapes import Reading, Span, readings

MASK = "***"
MAX_SHOWN_CHARS = 2048
"""How much of a text may be shown; `PartnerDetail` shows less."""
_SEARCHED_CHARS = 2 * MAX_SHOWN_CHARS
"""A secret that begins within `MAX_SHOWN_CHARS` may end beyond."""
_NEEDLE_CHARS = 256
"""Longer secrets are found by their first characters, also where the rest was cut off, and masked to their length."""
_SHORTEST_ENCODED = 6
"""Shorter base64 and hexadecimal forms are not looked for: they occur in words."""
# Characters of base64 and of its escapes. The whole word is masked: its ends hold bits of the secret beside others.
_WORDS = re.compile(r"[\w+/=%\\-]+")

Fold = Callable[[str], str]
"""Reduces one character, to nothing where it does not count."""


def _letters(char: str) -> str:
    return char.casefold() if char.isalnum() else ""


def _visible(char: str) -> str:
    return char.casefold() if char.isprintable() and not char.isspace() else ""


_FOLDS: Sequence[tuple[Fold, int]] = ((_letters, 8), (_visible, 6), (str, 1))
"""The coarsest first, and how many characters it has to leave of a secret, or it would find words."""


@dataclass(frozen=True, slots=True)
class _Needle:
    """A form of a secret to look for. `text` is the beginning of the folded form, which has `chars` characters."""

    fold: Fold
    text: str
    chars: int
    head: str
    tail: str
    """What the fold drops at the ends, `==` for example: masked where it is there."""
    in_word: bool
    """Whether the rest of the word around it is masked too."""


class Masker:
    """Masks `secrets` in texts; empty ones do not count."""

    def __init__(self, secrets: Iterable[str]) -> None:
        needles = {_needle(form, in_word=in_word) for secret in secrets if secret for form, in_word in _forms(secret)}
        order = [fold for fold, _ in _FOLDS]
        self._needles = sorted(needles, key=lambda needle: order.index(needle.fold))

    def mask(self, text: str) -> str:
        """The printable text with `MASK` for each secret, and for all that is beyond `MAX_SHOWN_CHARS`.

        Found are secrets in percent-encoding, JSON and HTML escapes, quoted-printable, hexadecimal and base64 (each
        alphabet, any alignment), escaped again, in another case, and with spaces or punctuation in between. Not found
        are parts of a secret and other encodings. Of a secret with fewer than eight letters and digits only spaces in
        between are recognised; with fewer than six visible characters no spaces and no other case.
        """
        searched = printable(text[:_SEARCHED_CHARS])
        found = {match for reading in readings(searched) for match in self._found(reading)}
        spans = {span for needle, span in found if not needle.in_word}
        spans |= _words_around({span for needle, span in found if needle.in_word}, searched)
        if len(text) > MAX_SHOWN_CHARS:
            spans.add((MAX_SHOWN_CHARS, len(searched)))
        return _masked(searched, spans)

    def _found(self, reading: Reading) -> Iterator[tuple[_Needle, Span]]:
        for fold, needles in groupby(self._needles, key=lambda needle: needle.fold):
            folded, places = _folded(reading.text, fold)
            for needle in needles:
                for at in _places(needle.text, folded):
                    first, last = places[at], places[min(at + needle.chars, len(places)) - 1]
                    first = _reach(reading.text, range(first - 1, -1, -1), needle.head[::-1], fold, first)
                    last = _reach(reading.text, range(last + 1, len(reading.text)), needle.tail, fold, last)
                    yield needle, (reading.spans[first][0], reading.spans[last][1])


def _forms(secret: str) -> Iterator[tuple[str, bool]]:
    """What the secret can be in a decoded text, and whether that is a part of a word."""
    shown = printable(secret)
    yield shown, False
    for reading in readings(shown):
        # Escapes within the secret itself are decoded with the text around it.
        if sum(1 for char in reading.text if _visible(char)) >= _FOLDS[1][1]:
            yield reading.text, False
    # JSON can carry half a surrogate pair, which strict UTF-8 refuses.
    content = secret.encode(errors="surrogatepass")
    encoded = [(content.hex(), False)]
    # OAuth clients percent-encode a secret before it becomes base64.
    for inner in {content, quote(content, safe="").encode(), quote_plus(content).encode()}:
        encoded += [(form, True) for form in _within_base64(inner)]
    yield from (form for form in encoded if len(form[0]) >= _SHORTEST_ENCODED)


def _within_base64(content: bytes) -> Iterator[str]:
    """`content` in base64, and what is certain of the base64 of any longer text with `content` in it."""
    alone = base64.b64encode(content).decode()
    found = [alone, alone.rstrip("=")]
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + content + b"\0\0").decode()
        found.append(whole[(before * 8 + 5) // 6 : (before + len(content)) * 8 // 6])
    for form in found:
        yield from (form, form.replace("+", "-").replace("/", "_"))


def _needle(form: str, *, in_word: bool) -> _Needle:
    for fold, shortest in _FOLDS:
        folded, places = _folded(form, fold)
        if len(folded) >= shortest:
            break
    head, tail = form[: places[0]], form[places[-1] + 1 :]
    return _Needle(fold, folded[:_NEEDLE_CHARS], len(folded), head, tail, in_word)


def _folded(text: str, fold: Fold) -> tuple[str, Sequence[int]]:
    """The folded text, and where in `text` each of its characters stands."""
    parts = [fold(char) for char in text]
    return "".join(parts), [at for at, part in enumerate(parts) for _ in part]


def _reach(text: str, places: Iterable[int], ending: str, fold: Fold, reached: int) -> int:
    """The last of `places` with a character of `ending`, before the first that the fold keeps; else `reached`."""
    left = iter(ending)
    wanted = next(left, None)
    for at in places:
        if wanted is None or fold(text[at]):
            break
        if text[at] == wanted:
            reached, wanted = at, next(left, None)
    return reached


def _places(needle: str, text: str) -> Iterator[int]:
    """Every place, those that overlap too: the needle may be a repetition."""
    at = text.find(needle)
    while at >= 0:
        yield at
        at = text.find(needle, at + 1)


def _words_around(spans: set[Span], text: str) -> set[Span]:
    """The spans, each with the rest of the words that it begins and ends in."""
    if not spans:
        return spans
    words = [match.span() for match in _WORDS.finditer(text)]
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
