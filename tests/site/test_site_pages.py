"""Goal: the site shows what the pages say, its links lead somewhere, and nothing in it comes from elsewhere.

Method: `make site` has built it; its files are read as they are. `make browser` opens them.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
DOCS, SITE = ROOT / "docs", ROOT / "site"
BESIDE = [ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
SOURCES = [*BESIDE, *sorted(DOCS.rglob("*.md"))]
PAGES = sorted(SITE.rglob("*.html"))
#: What a browser fetches by itself, by element.
_FETCHED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "object": "data"}
#: Relations of `link` that fetch nothing.
_NOT_FETCHED = {"canonical", "next", "prev", "alternate"}


class _Html(HTMLParser):
    """What is linked and fetched, which names there are, and how many of each element stand in the article."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.names: set[str] = set()
        self.elements: Counter[str] = Counter()
        self.codes: list[str] = []
        self._articles = 0
        self._in_code = self._in_block = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "article":
            self._articles += 1
        if self._articles:
            self.elements[tag] += 1
        self._in_block = self._in_block or tag == "pre"
        if tag == "code" and not self._in_block:
            self._in_code = True
            self.codes.append("")
        if "id" in given:
            self.names.add(given["id"])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in _FETCHED and _FETCHED[tag] in given and given.get("rel") not in _NOT_FETCHED:
            self.fetched.append(given[_FETCHED[tag]])

    def handle_endtag(self, tag: str) -> None:
        self._articles -= tag == "article"
        self._in_block = self._in_block and tag != "pre"
        self._in_code = self._in_code and tag != "code"

    def handle_data(self, data: str) -> None:
        if self._in_code:
            self.codes[-1] += data


READ = {path: _Html(path) for path in PAGES}


def page_of(source: Path) -> Path:
    """Where the site has this page."""
    name = source.relative_to(DOCS if source.is_relative_to(DOCS) else ROOT).with_suffix("")
    return SITE / "index.html" if name.as_posix() == "index" else SITE / name / "index.html"


def test_the_site_has_every_page_and_no_other() -> None:
    assert SOURCES
    assert {page_of(source) for source in SOURCES} | {SITE / "404.html"} == set(PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(SITE).as_posix())
def test_links_lead_somewhere_and_nothing_is_fetched_from_elsewhere(page: Path) -> None:
    html = READ[page]
    for address in html.fetched:
        assert not urlsplit(address).netloc, address
    for address in [*html.links, *html.fetched]:
        parts = urlsplit(address)
        if parts.scheme or parts.netloc:
            continue
        folder = SITE if parts.path.startswith("/") else page.parent
        target = (folder / unquote(parts.path).lstrip("/")).resolve() if parts.path else page
        target = target / "index.html" if target.is_dir() else target
        assert target.is_file(), address
        if parts.fragment and target in READ:
            assert unquote(parts.fragment) in READ[target].names | {"__search"}, address


def test_style_sheets_fetch_nothing_from_elsewhere() -> None:
    sheets = sorted(SITE.rglob("*.css"))
    assert SITE / "site.css" in sheets
    for sheet in sheets:
        text = sheet.read_text(encoding="utf-8")
        assert re.findall(r"url\(\s*[\"']?(?:https?:)?//[^)]*\)", text) == []
        assert "@import" not in text


def _shape(source: Path) -> Counter[str]:
    """Headings, items, rows, blocks of code and pictures of a page, as a code host shows it."""
    tokens = MarkdownIt("commonmark").enable("table").parse(source.read_text(encoding="utf-8"))
    shape: Counter[str] = Counter()
    for token in tokens:
        if token.type.endswith("_open") and token.tag in {"h1", "h2", "h3", "h4", "li", "tr"}:
            shape[token.tag] += 1
        elif token.type in {"fence", "code_block"}:
            shape["pre"] += 1
        shape["img"] += sum(child.type == "image" for child in token.children or ())
    return +shape


@pytest.mark.parametrize(
    "source",
    [each for each in SOURCES if each.name != "api.md"],
    ids=lambda source: source.relative_to(ROOT).as_posix(),
)
def test_a_page_has_the_same_parts_as_on_a_code_host(source: Path) -> None:
    shape = _shape(source)
    elements = READ[page_of(source)].elements
    assert Counter({part: elements[part] for part in ("h1", "h2", "h3", "h4", "li", "tr", "pre", "img")}) == shape


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.relative_to(ROOT).as_posix())
def test_code_in_lines_is_as_on_a_code_host(source: Path) -> None:
    tokens = MarkdownIt("commonmark").enable("table").parse(source.read_text(encoding="utf-8"))
    codes = [child.content for token in tokens for child in token.children or () if child.type == "code_inline"]
    assert Counter(map(_one_line, codes)) - Counter(map(_one_line, READ[page_of(source)].codes)) == Counter()


def _one_line(text: str) -> str:
    """As a browser shows it."""
    return " ".join(text.split())


def test_each_name_of_the_page_on_python_is_described() -> None:
    names = re.findall(r"^::: (\S+)$", (DOCS / "api.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert names
    assert set(names) <= READ[SITE / "api" / "index.html"].names


def test_every_page_can_be_found_by_searching() -> None:
    entries = json.loads((SITE / "search" / "search_index.json").read_text(encoding="utf-8"))["docs"]
    found = {entry["location"].partition("#")[0] for entry in entries}
    assert found == {page_of(source).relative_to(SITE).as_posix().removesuffix("index.html") for source in SOURCES}


def test_links_that_lead_nowhere_fail_the_build(tmp_path: Path) -> None:
    done = _build(tmp_path, "[a](none.md) [b](../sim/none.py) [c](trace.md#none) [d](/trace.md) [e](#gone)\n")
    assert done.returncode == 1
    warnings = [line for line in done.stderr.splitlines() if line.startswith("WARNING")]
    for target in ("none.md", "../sim/none.py", "trace.md#none", "/trace.md", "#gone"):
        assert len([line for line in warnings if f"'{target}'" in line]) == 1, (target, warnings)
    assert len(warnings) == 5


def test_a_link_to_a_source_file_becomes_its_text_and_path(tmp_path: Path) -> None:
    text = "[the `kernel`](../sim/kernel) [worked](trace.md) [steps](../CONTRIBUTING.md#the-loop-of-work)\n"
    done = _build(tmp_path, text)
    assert done.returncode == 0, done.stderr
    html = (tmp_path / "site" / "limits" / "index.html").read_text(encoding="utf-8")
    assert "<span>the <code>kernel</code> (<code>sim/kernel</code>)</span>" in html
    assert '<a href="../trace/">worked</a>' in html
    assert '<a href="../CONTRIBUTING/#the-loop-of-work">steps</a>' in html


def _build(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """The site with this text at the end of a page, built as `make site` does; docstrings, which take long, are left out."""
    shutil.copytree(DOCS, folder / "docs")
    with (folder / "docs" / "limits.md").open("a", encoding="utf-8") as page:
        page.write(f"\n{text}")
    (folder / "mkdocs.yml").write_text(
        f"INHERIT: {ROOT}/mkdocs.yml\ndocs_dir: {folder}/docs\nsite_dir: {folder}/site\n"
        f"hooks: [{DOCS}/_site/hooks.py]\nplugins: [search]\n"
    )
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", str(folder / "mkdocs.yml")],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
