"""aiohttp has two request parsers, one in C and one in Python: what was shown for one must hold for the other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import http_parser

HERE = Path(__file__).parent
FILES = (
    "test_gateway_raw_requests.py",
    "test_guards.py",
    "test_raw_requests.py",
    "test_web_half_closed.py",
    "test_web_half_closed_waiting.py",
    "test_web_heads.py",
    "test_web_malformed.py",
    "test_web_slots.py",
    "test_web_trailers.py",
)
"""The files of tests that are run once more with the parser in Python."""


def test_the_c_parser_is_the_one_in_use() -> None:
    if os.environ.get("AIOHTTP_NO_EXTENSIONS"):
        assert http_parser.HttpRequestParser is http_parser.HttpRequestParserPy
    else:
        assert http_parser.HttpRequestParser is not http_parser.HttpRequestParserPy


@pytest.mark.slow
@pytest.mark.timeout(900)  # a whole file of tests
@pytest.mark.parametrize("file", FILES)
def test_what_is_shown_of_requests_holds_with_the_parser_in_python(file: str) -> None:
    uses_python = f"{__file__}::{test_the_c_parser_is_the_one_in_use.__name__}"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", str(HERE / file), uses_python],
        env={**os.environ, "AIOHTTP_NO_EXTENSIONS": "1"},
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
