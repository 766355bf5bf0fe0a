"""The examples of docs/partners.md, as the page has them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sidecar.config.load import load
from sidecar.config.settings import ProfileSettings
from sidecar.core.partner_table import PartnerTable
from sidecar.partner.presets import PRESETS

PAGE = (Path(__file__).parents[2] / "docs/partners.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Example:
    """A TOML file of the page, and the requests that the page shows for it."""

    name: str
    text: str
    requests: tuple[str, ...]

    def written(self, folder: Path) -> Path:
        (file := folder / "sidecar.toml").write_text(self.text)
        return file

    def profile(self, folder: Path) -> ProfileSettings:
        return load({"SIDECAR_CONFIG": str(self.written(folder))}, PRESETS).profiles[0]

    def table(self, folder: Path) -> PartnerTable:
        return self.profile(folder).table


def _examples() -> Iterator[Example]:
    for section in re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]:
        for text in re.findall(r"```toml\n(.*?)```", section, re.DOTALL):
            (name,) = re.findall(r"^\[partners\.(.*)\]", text, re.MULTILINE)
            yield Example(name, text, tuple(re.findall(r"```\n(POST .*?)\n```", section, re.DOTALL)))


EXAMPLES = {one.name: one for one in _examples()}
