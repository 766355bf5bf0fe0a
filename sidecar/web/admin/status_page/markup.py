"""HTML from the templates in `files`. Whatever is filled in is escaped, unless it was made here."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from html import escape
from pathlib import Path
from string import Template


class Markup(str):
    """Text that is HTML already. Only `fill` and `joined` make it, and constants of this room."""

    __slots__ = ()


@functools.cache
def file(name: str) -> str:
    """The text of one of our files, read once."""
    return Path(__file__).with_name("files").joinpath(name).read_text(encoding="utf-8")


@functools.cache
def _template(text: str) -> Template:
    return Template(text)


def fill(text: str, **values: object) -> Markup:
    """`text` with each `$name` replaced by its value; a name without a value is an error."""
    safe = {name: value if isinstance(value, Markup) else escape(str(value)) for name, value in values.items()}
    return Markup(_template(text).substitute(safe))


def joined(parts: Iterable[Markup]) -> Markup:
    return Markup("".join(parts))
