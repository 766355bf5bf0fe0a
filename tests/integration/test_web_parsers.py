"""aiohttp has two request parsers, one in C and one in Python: what was shown for one must hold for the other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from aiohttp import http_parser

HERE = Path(__file__).parent
BOTH = ("guards", "web_half_closed", "web_half_closed_waiting", "web_heads", "web_malformed", "web_trailers")
"""The files of tests that are run once more with the parser in Python."""


def test_the_c_parser_is_the_one_in_use() -> None:
    if os.environ.get("AIOHTTP_NO_EXTENSIONS"):
        assert http_parser.HttpRequestParser is http_parser.HttpRequestParserPy
    else:
        assert http_parser.HttpRequestParser is not http_parser.HttpRequestParserPy


def test_what_is_shown_of_requests_holds_with_the_parser_in_python() -> None:
    names = (
        "test_guards.py",
        "test_web_half_closed.py",
        "test_web_half_closed_waiting.py",
        "test_web_malformed.py",
        "test_web_slots.py",
        "test_web_trailers.py",
    )
    files = [str(HERE / name) for name in names]
    uses_python = f"{__file__}::{test_the_c_parser_is_the_one_in_use.__name__}"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", *files, uses_python],
        env={**os.environ, "AIOHTTP_NO_EXTENSIONS": "1"},
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
