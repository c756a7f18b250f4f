"""Links and headings of a page in Markdown, as a code host shows them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]


def pages() -> list[Path]:
    """All pages of the repository that people read."""
    beside = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    return [*beside, *sorted((ROOT / "docs").rglob("*.md"))]


class Page(NamedTuple):
    """What links need to know of a page."""

    links: list[str]
    anchors: set[str]


def _inline(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from token.children or ()


def _anchor(heading: str, anchors: set[str]) -> str:
    """GitHub's rule: lower case, letters, digits, `_`, `-`, blanks as `-`; the same again gets `-1`."""
    plain = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
    number, name = 0, plain
    while name in anchors:
        number += 1
        name = f"{plain}-{number}"
    return name


def read_page(text: str) -> Page:
    """The links of a page, pictures included, and the anchors of its headings."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    links, anchors = [], set[str]()
    for number, token in enumerate(tokens):
        if token.type == "heading_open":
            heading = "".join(each.content for each in tokens[number + 1].children or ())
            anchors.add(_anchor(heading, anchors))
    for token in _inline(tokens):
        target = token.attrGet("href") if token.type == "link_open" else token.attrGet("src")
        if isinstance(target, str):
            links.append(target)
    return Page(links, anchors)


def broken(path: Path) -> list[str]:
    """Links of this page that lead nowhere. Addresses elsewhere are not asked."""
    page = read_page(path.read_text(encoding="utf-8"))
    found = []
    for link in page.links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if parts.path.startswith("/") or not target.exists():
            found.append(f"{link}: there is no such file")
            continue
        is_page = parts.fragment != "" and target.suffix == ".md"
        if is_page and parts.fragment not in read_page(target.read_text(encoding="utf-8")).anchors:
            found.append(f"{link}: there is no such heading")
    return found
