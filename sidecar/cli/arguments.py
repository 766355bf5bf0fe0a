"""Parsers of settings as types of command line arguments."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def offset_s(text: str) -> float:
    from sidecar.config import parsers

    parse = checked(parsers.number(0, 86_400))
    return -parse(text[1:]) if text.startswith("-") else parse(text)


def checked(parse: Callable[[str], T]) -> Callable[[str], T]:
    """Wrap a settings parser for argparse, which shows the text of `ArgumentTypeError` only."""

    def parse_argument(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse_argument
