"""Reads the JSON object in a response's body. Gateways may compress it unasked, or add a byte order mark."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import TypeAlias

from sidecar.core.failures import AnswerProblem
from sidecar.partner.lifetime import read_integer

MAX_BODY_BYTES = 64 * 1024
"""The limit for the body as sent, and also for the decompressed body."""
Document: TypeAlias = Mapping[str, object]
_GZIP = b"\x1f\x8b"
_GZIP_FORMAT = zlib.MAX_WBITS | 16


def read_document(body: bytes) -> Document | AnswerProblem:
    """Return the JSON object in `body`, or why there is none.

    Gzip is detected by its first bytes, with which no JSON begins. `Content-Encoding` is not reliable: a proxy that
    decompresses may leave it, and one that compresses may omit it.
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
    """Return at most `MAX_BODY_BYTES`, however large the decompressed body would be."""
    stream = zlib.decompressobj(_GZIP_FORMAT)
    try:
        plain = stream.decompress(body, MAX_BODY_BYTES + 1)
    except zlib.error:
        return AnswerProblem.BAD_GZIP
    if len(plain) > MAX_BODY_BYTES:
        return AnswerProblem.TOO_LONG
    return plain if stream.eof and not stream.unused_data else AnswerProblem.BAD_GZIP
