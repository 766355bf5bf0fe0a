"""Every relative link of every Markdown file has a target: a file of the checkout, and its heading if one is named."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from urllib.parse import unquote

import pytest

TOP = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(path for path in (*TOP.glob("*.md"), *TOP.glob("[!.]*/**/*.md")) if "node_modules" not in path.parts)
PAGE = "# One page\n\n## `a_b`, and *more*: [x](other.md)\n\n## Twice\n\n## Twice\n\n```\n# no heading\n```\n"


def prose(text: str) -> str:
    """Return the text without its blocks of code."""
    return re.sub(r"^( *)(```+|~~~+).*?^ *\2 *$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """Return the anchors of a page on GitHub: one for each heading, numbered if repeated, and those written as HTML."""
    found = set(re.findall(r"<\w+ [^>]*\b(?:id|name)=\"([^\"]+)\"", prose(text)))
    seen: Counter[str] = Counter()
    for heading in re.findall(r"^#{1,6} +(.+?)[ #]*$", prose(text), re.MULTILINE):
        shown = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", shown).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def links(text: str) -> list[str]:
    """Return the targets of links and pictures, inline, by reference or as HTML, without those of other sites."""
    shown = re.sub(r"(`+)(?:(?!\n\n).)+?(?<!`)\1(?!`)", "", prose(text), flags=re.DOTALL)
    targets = [
        *re.findall(r"\]\(\s*<?([^)\s>]+)", shown),
        *re.findall(r"^ {0,3}\[[^\]]*\]:\s*<?([^\s>]+)", shown, re.MULTILINE),
        *re.findall(r"<\w+ [^>]*\b(?:href|src)=\"([^\"]+)\"", shown),
    ]
    return [target for target in targets if not re.match(r"[a-z][a-z0-9+.-]*:|//", target)]


def broken(document: Path, top: Path) -> list[str]:
    """Return the links of the document whose target does not exist, or is outside the folder `top`."""
    return [link for link in links(document.read_text(encoding="utf-8")) if not _has_target(link, document, top)]


def _has_target(link: str, document: Path, top: Path) -> bool:
    path, _, anchor = unquote(link).partition("#")
    target = (document.parent / path).resolve() if path else document
    if not target.is_relative_to(top) or not target.exists():
        return False
    return not anchor or (target.suffix == ".md" and anchor in anchors(target.read_text(encoding="utf-8")))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(TOP)))
def test_the_target_of_every_link_exists(document: Path) -> None:
    assert broken(document, TOP) == []


def test_the_pages_of_every_folder_are_checked() -> None:
    folders = {document.parent.relative_to(TOP).as_posix() for document in DOCUMENTS}
    assert {".", "docs", "deploy", "tests/model"} <= folders


def test_anchors_are_those_of_headings_alone() -> None:
    assert anchors(PAGE) == {"one-page", "a_b-and-more-x", "twice", "twice-1"}


@pytest.mark.parametrize(
    "link",
    ["other.md", "other.md#twice-1", "#here", "folder", "../top.md", "<other.md>", 'other.md "a title"'],
)
def test_a_link_with_a_target_is_not_reported(tmp_path: Path, link: str) -> None:
    assert broken(_page(tmp_path, f"# Here\n\n[a]({link})\n"), tmp_path) == []


@pytest.mark.parametrize(
    "link",
    [
        "none.md",
        "other.md#none",
        "other.md#no-heading",
        "#none",
        "folder#here",
        "/other.md",
        "../../outside.md",
        "OTHER.txt",
    ],
)
def test_a_link_without_a_target_is_reported(tmp_path: Path, link: str) -> None:
    (tmp_path.parent / "outside.md").write_text(PAGE, encoding="utf-8")
    for text in (f"[a]({link})", f"[`a`]({link}) and `b`", f"![a]({link})", f"[a]: {link}", f'<img src="{link}">'):
        assert broken(_page(tmp_path, f"# Here\n\n{text}\n"), tmp_path) == [link]


@pytest.mark.parametrize("text", ["`[a](none.md)`", "```\n[a](none.md)\n```", "[a](https://example.com/none.md#none)"])
def test_code_and_other_sites_are_not_checked(tmp_path: Path, text: str) -> None:
    assert broken(_page(tmp_path, f"# Here\n\n{text}\n"), tmp_path) == []


def _page(top: Path, text: str) -> Path:
    """Write a page with this text in a folder of `top`, with another page and a folder."""
    page = top / "docs/page.md"
    (page.parent / "folder").mkdir(parents=True, exist_ok=True)
    for path in (page.parent / "other.md", top / "top.md"):
        path.write_text(PAGE, encoding="utf-8")
    page.write_text(text, encoding="utf-8")
    return page
