"""HTML from the templates in `files`. Values are escaped, except `Markup` values."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from html import escape
from pathlib import Path
from string import Template


class Markup(str):
    """Text that is already HTML. Only `fill`, `joined` and constants of this package make it."""

    __slots__ = ()


@functools.cache
def file(name: str) -> str:
    """Return the text of one of our files, which is read once."""
    return Path(__file__).with_name("files").joinpath(name).read_text(encoding="utf-8")


@functools.cache
def _template(text: str) -> Template:
    return Template(text)


def fill(text: str, **values: object) -> Markup:
    """Replace each `$name` in `text` by its value. Raises `KeyError` for a name without a value."""
    safe = {name: value if isinstance(value, Markup) else escape(str(value)) for name, value in values.items()}
    return Markup(_template(text).substitute(safe))


def joined(parts: Iterable[Markup]) -> Markup:
    return Markup("".join(parts))
