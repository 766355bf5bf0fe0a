"""Bodies as gateways send them, and the problem of each invalid body."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib

import pytest

from sidecar.core.errors import AnswerProblem
from sidecar.partner.response import MAX_BODY_BYTES, read_document

DOCUMENT = {"accessToken": "access-1"}
PLAIN = json.dumps(DOCUMENT).encode()
BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    "body",
    [PLAIN, BOM + PLAIN, b"\r\n" + PLAIN, gzip.compress(PLAIN, mtime=0), gzip.compress(BOM + PLAIN)],
    ids=["plain", "byte order mark", "empty line", "gzip", "gzip with byte order mark"],
)
def test_an_object_is_read_in_each_form_that_gateways_send(body: bytes) -> None:
    assert read_document(body) == DOCUMENT


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", AnswerProblem.EMPTY),
        (b" \r\n", AnswerProblem.EMPTY),
        (gzip.compress(b"", mtime=0), AnswerProblem.EMPTY),
        (BOM, AnswerProblem.NOT_JSON),
        (BOM + BOM + PLAIN, AnswerProblem.NOT_JSON),
        (b"<html></html>", AnswerProblem.NOT_JSON),
        (PLAIN[:-1], AnswerProblem.NOT_JSON),
        (PLAIN.decode().encode("utf-16"), AnswerProblem.NOT_JSON),
        (b"[" * 60_000, AnswerProblem.NOT_JSON),
        (zlib.compress(PLAIN), AnswerProblem.NOT_JSON),
        (b"null", AnswerProblem.NOT_OBJECT),
        (b"[]", AnswerProblem.NOT_OBJECT),
        (gzip.compress(PLAIN, mtime=0)[:-1], AnswerProblem.BAD_GZIP),
        (gzip.compress(PLAIN, mtime=0) + b"{}", AnswerProblem.BAD_GZIP),
        (b"\x1f\x8b\x08\x00gzip", AnswerProblem.BAD_GZIP),
        (gzip.compress(gzip.compress(PLAIN, mtime=0), mtime=0), AnswerProblem.NOT_JSON),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_each_body_without_an_object_has_its_problem(body: bytes, problem: AnswerProblem) -> None:
    assert read_document(body) is problem


@pytest.mark.parametrize("packed", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_body_of_exactly_the_limit_is_read_and_one_byte_more_is_too_long(packed: type[bytes]) -> None:
    assert read_document(packed(PLAIN.ljust(MAX_BODY_BYTES))) == DOCUMENT
    assert read_document(packed(PLAIN.ljust(MAX_BODY_BYTES + 1))) is AnswerProblem.TOO_LONG


def test_a_body_that_expands_a_thousandfold_is_not_decompressed() -> None:
    bomb = gzip.compress(bytes(60_000_000))
    assert len(bomb) < MAX_BODY_BYTES
    tracemalloc.start()
    try:
        assert read_document(bomb) is AnswerProblem.TOO_LONG
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * MAX_BODY_BYTES
