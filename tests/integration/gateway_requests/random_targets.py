"""Random targets: some are plain, some have what servers read in different ways."""

from __future__ import annotations

import random

_PLAIN = (
    b"payments",
    b"methods",
    b"a",
    b"a.b",
    b"~x",
    b"C-1-P",
    b"a%20b",
    b"%41",
    b"%7e",
    b"x=1,2",
    b"(a)",
    b"@:b",
    b"+234",
    b"!$&'*",
)
_ODD = (
    b"auth", b"AUTH", b"%61uth", b"auth%20", b"auth.", b"", b".", b"..", b"...", b"%2e", b"%2E%2e", b"..;", b";x",
    b"a%2fb",
    b"a%5cb", b"a\\b", b"%252e", b"%00", b"a%", b"%zz", b"a#b", b"a|b", b"\xe9", b"%c3%a9", b"%ef%bc%8e", b"{a}",
    b"a%3fb", b"[",
)  # fmt: skip
_QUERIES = (
    b"?", b"?a=b", b"?a=%2F&b=%zz", b"?a=%41&a=%7E", b"??", b"?a=b?c", b"?/../auth", b"?a=[1]|{2}",
    b"?a=\"<>`^\\'", b"?a=b#c",
    b"?a=\xe9", b"?&&=", b"?a=b;c", b"?http://evil.test/@:", b"?a=+%20",
)  # fmt: skip
_CHARACTERS = b"abcxyzAUTH0189/.%2e5cf;?#\\~!$&'()*+,=:@-_\xe9|"


def random_target(chance: random.Random) -> bytes:
    """Return a target of visible bytes that begins with a slash."""
    odd_share = chance.choice((0, 0, 0.1, 0.5))
    segments = [chance.choice(_ODD if chance.random() < odd_share else _PLAIN) for _ in range(chance.randint(1, 5))]
    target = b"/api/pay1st/" + b"/".join(segments)
    if chance.random() < 0.4:
        target += chance.choice(_QUERIES)
    if chance.random() < 0.2:
        at = chance.randrange(1, len(target))
        target = target[:at] + bytes([chance.choice(_CHARACTERS)]) + target[at:]
    return target
