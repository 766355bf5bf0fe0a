"""The encodings in which a secret may be in text or bytes."""

from __future__ import annotations

import base64
import html
import json
import quopri
import textwrap
from collections.abc import Iterator, Mapping
from urllib.parse import quote, quote_plus


def encodings(secret: str) -> Iterator[str]:
    """Return the secret as it is, rewritten, and in base64 of a text that it is part of."""
    raw = secret.encode()
    yield from (secret, quote(secret, safe=""), json.dumps(secret)[1:-1], *rewritten(secret).values())
    for inner in inside_base64(raw):
        yield from (inner, inner.replace("+", "-").replace("/", "_"))


def inside_base64(raw: bytes) -> Iterator[str]:
    """Return the part of a base64 text that only `raw` determines, for each position of `raw` in the encoded text."""
    for offset in range(3):
        # Cut off what depends on the bytes before and after.
        whole = base64.b64encode(b"\0" * offset + raw + b"\0" * (-(offset + len(raw)) % 3)).decode()
        yield whole[(offset * 8 + 5) // 6 : (offset + len(raw)) * 8 // 6]


def rewritten(secret: str) -> Mapping[str, str]:
    """Return the forms in which a partner may write `secret`, by the name of the conversion."""
    raw = secret.encode()
    coded = base64.b64encode(raw).decode()
    every = "".join(f"%{byte:02X}" for byte in raw)
    escaped = "".join(f"\\u{unit:04x}" for unit in _utf16(secret))
    return {
        "base64": coded,
        "base64 without padding": coded.rstrip("="),
        "base64 for URLs": base64.urlsafe_b64encode(raw).decode().rstrip("="),
        "base64 in percent-encoding": quote(coded, safe=""),
        "base64 in JSON": coded.replace("/", "\\/"),
        "base64 in lines": "\r\n ".join(textwrap.wrap(coded, 5)),
        "base64 in lower case": coded.lower(),
        "base64 of percent-encoding": base64.b64encode(quote(secret, safe="").encode()).decode(),
        **{
            f"base64 after {text!r}": base64.b64encode(text.encode() + raw + b":x").decode() for text in ("", "k", "k:")
        },
        "percent-encoding": every,
        "percent-encoding in lower case": every.lower(),
        "percent-encoding of a form": quote_plus(secret).replace("%", "%25").lower(),
        "percent-encoding twice": quote(every, safe=""),
        "percent-encoding thrice": quote(quote(every, safe=""), safe=""),
        "percent-encoding of Unicode": escaped.replace("\\", "%"),
        "hexadecimal": raw.hex(),
        "hexadecimal in upper case": raw.hex().upper(),
        "hexadecimal with colons": raw.hex(":"),
        "hexadecimal escapes": "".join(f"\\x{byte:02x}" for byte in raw),
        "JSON escapes": escaped,
        "JSON escapes in upper case": escaped.upper().replace("U", "u"),
        "JSON escapes twice": json.dumps(escaped)[1:-1],
        "HTML entities": "".join(f"&#{ord(char)};" for char in secret),
        "HTML entities in hexadecimal": "".join(f"&#x{ord(char):X};" for char in secret),
        "HTML in JSON": json.dumps("&#32;".join(html.escape(char) for char in secret))[1:-1].replace("&", "\\u0026"),
        "quoted-printable": quopri.encodestring(raw, quotetabs=True).decode().replace("-", "=2D"),
        "upper case": secret.upper(),
        "spaces in between": " ".join(secret),
        "invisible characters in between": "\u200b".join(secret),
        "hyphens in between": "-".join(secret),
        "line breaks in between": secret[:5] + "\n\t" + secret[5:],
        "percent-encoding in upper case with spaces": " ".join(quote(char, safe="") for char in secret.upper()),
    }


def _utf16(text: str) -> Iterator[int]:
    coded = text.encode("utf-16-be")
    return (int.from_bytes(coded[at : at + 2], "big") for at in range(0, len(coded), 2))
