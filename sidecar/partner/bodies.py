"""The JSON object in an answer's body, read as gateways send it: compressed unasked, or with a byte order mark."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import TypeAlias

from sidecar.core.failures import AnswerProblem
from sidecar.partner.lifetime import read_integer

MAX_BODY_BYTES = 64 * 1024
"""Of a body as it was sent, and once more of what it is decompressed to."""
Document: TypeAlias = Mapping[str, object]
_GZIP = b"\x1f\x8b"
_GZIP_FORMAT = zlib.MAX_WBITS | 16


def read_document(body: bytes) -> Document | AnswerProblem:
    """The JSON object in `body`, or why there is none.

    No JSON begins as gzip does, so gzip is known by its first bytes: a proxy that decompresses may leave
    `Content-Encoding` behind, and one that compresses may forget it.
    """
    if len(body) > MAX_BODY_BYTES:
        return AnswerProblem.TOO_LONG
    plain = _decompressed(body) if body.startswith(_GZIP) else body
    if isinstance(plain, AnswerProblem):
        return plain
    if not plain.strip():
        return AnswerProblem.EMPTY
    try:
        document = json.loads(plain.decode("utf-8-sig"), parse_int=read_integer)
    except (ValueError, RecursionError):
        return AnswerProblem.NOT_JSON
    return document if isinstance(document, dict) else AnswerProblem.NOT_OBJECT


def _decompressed(body: bytes) -> bytes | AnswerProblem:
    """At most `MAX_BODY_BYTES`, whatever a few bytes claim to expand to."""
    stream = zlib.decompressobj(_GZIP_FORMAT)
    try:
        plain = stream.decompress(body, MAX_BODY_BYTES + 1)
    except zlib.error:
        return AnswerProblem.BAD_GZIP
    if len(plain) > MAX_BODY_BYTES:
        return AnswerProblem.TOO_LONG
    return plain if stream.eof and not stream.unused_data else AnswerProblem.BAD_GZIP
