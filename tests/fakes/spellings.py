"""The spellings in which a secret may hide in text or bytes."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from urllib.parse import quote


def spellings(secret: str) -> Iterator[str]:
    """As it is and as it may hide: quoted, in JSON, in hex, and in base64 of a text that it is part of."""
    raw = secret.encode()
    yield from (secret, quote(secret, safe=""), json.dumps(secret)[1:-1], raw.hex(), raw.hex().upper())
    for inner in inside_base64(raw):
        yield from (inner, inner.replace("+", "-").replace("/", "_"))


def inside_base64(raw: bytes) -> Iterator[str]:
    """What is certain of base64 of a text that `raw` is part of, for each place it may begin at."""
    for offset in range(3):
        # Cut off what depends on the neighbours.
        whole = base64.b64encode(b"\0" * offset + raw + b"\0" * (-(offset + len(raw)) % 3)).decode()
        yield whole[(offset * 8 + 5) // 6 : (offset + len(raw)) * 8 // 6]
