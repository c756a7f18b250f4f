"""What the site needs besides the pages: mkdocs calls the functions `on_...` (mkdocs.yml names this file).

The pages are written for a code host, where a link may lead to any file of the repository. The site has the pages alone, so:

- CONTRIBUTING.md and CHANGELOG.md, which lie beside docs/, become pages of it.
- A link to a file of the repository that is no page becomes its text and, in brackets, the file's path: it leads nowhere.
- A link to a file that there is not is left as it is. mkdocs warns of it, and `--strict` fails.

All links pass `target_on_site`; nothing else changes any. Besides, `\\|` in a table's code is a bar, as on a code host.

What the theme leaves out for who reads with a screen reader or a keyboard is put in: `_FOR_ALL` has it for the theme's
script, which builds parts of a page in the reader's browser. Whatever is not found there as expected fails the build.
"""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.etree.ElementTree import Element, SubElement

from markdown import Markdown
from markdown.extensions import Extension
from markdown.treeprocessors import Treeprocessor
from markdown.util import AtomicString
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
BESIDE_DOCS = ("CONTRIBUTING.md", "CHANGELOG.md")
"""Pages of the site that lie at the top of the repository."""


_SEARCH = ('data-md-component="search" role="dialog"', 'data-md-component="search" role="dialog" aria-label="Search"')
_FOR_ALL = (
    # Buttons beside a block of code are no navigation; there would be many of one name.
    ('("nav",{class:"md-code__nav"})', '("div",{class:"md-code__nav"})'),
    # What scrolls can be scrolled with the keyboard.
    ('("div",{class:"md-typeset__scrollwrap"}', '("div",{class:"md-typeset__scrollwrap",tabindex:"0"}'),
)


def path_in_repository(page: str) -> str:
    """Where a page of the site lies in the repository."""
    return page if page in BESIDE_DOCS else f"docs/{page}"


def target_on_site(href: str, page: str) -> tuple[str, str]:
    """What a link on this page of the site becomes: `("link", href)` or, for a file that is no page, `("file", its path)`.

    Args:
        href: as it is written on the page.
        page: the page's path below the site's pages, e.g. `tutorials/on-call.md`.
    """
    parts = urlsplit(href)
    if parts.scheme or parts.netloc or not parts.path or parts.path.startswith("/"):
        return "link", href
    path = posixpath.normpath(posixpath.join(posixpath.dirname(path_in_repository(page)), unquote(parts.path)))
    if path.startswith("..") or not (ROOT / path).exists():
        return "link", href
    if path in BESIDE_DOCS:
        on_site = path
    elif path.startswith("docs/"):
        on_site = path.removeprefix("docs/")
    else:
        return "file", path
    relative = posixpath.relpath(on_site, posixpath.dirname(page) or ".")
    return "link", relative + (f"#{parts.fragment}" if parts.fragment else "")


class _Links(Treeprocessor):
    """Before mkdocs resolves links, whose processor has priority 0."""

    def __init__(self, md: Markdown, page: str) -> None:
        super().__init__(md)
        self.page = page

    def run(self, root: Element) -> None:
        for element in root.iter("a"):
            kind, target = target_on_site(element.get("href", ""), self.page)
            if kind == "link":
                element.set("href", target)
                continue
            del element.attrib["href"]
            element.tag = "span"
            last = element[-1] if len(element) else None
            if last is None:
                element.text = f"{element.text or ''} ("
            else:
                last.tail = f"{last.tail or ''} ("
            SubElement(element, "code").text = target
            element[-1].tail = ")"


class _Cells(Treeprocessor):
    """A bar in a table's code, and heads without a text, which are no heads."""

    def run(self, root: Element) -> None:
        for cell in root.iter("th"):
            if not (cell.text or "").strip() and not len(cell):
                cell.tag = "td"
        for cell in root.iter("td"):
            for code in cell.iter("code"):
                code.text = AtomicString((code.text or "").replace("\\|", "|"))


class _SitePages(Extension):
    def extendMarkdown(self, md: Markdown) -> None:
        md.treeprocessors.register(_Cells(md), "site_cells", 6)
        md.treeprocessors.register(_Links(md, _page), "site_links", 5)


_page = "index.md"


def on_config(config: Any) -> Any:
    """Add what changes pages."""
    config["markdown_extensions"].append(_SitePages())
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that lie beside docs/, and the style sheet that lies with this file."""
    for name in BESIDE_DOCS:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    files.append(File.generated(config, "site.css", abs_src_path=str(Path(__file__).with_name("site.css"))))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Remember which page is being made; each is made with a `Markdown` of its own."""
    global _page
    _page = page.file.src_uri
    return markdown


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Give the search a name."""
    return _replaced(output, *_SEARCH, page.file.src_uri)


def on_post_template(output_content: str, template_name: str, **_: Any) -> str:
    """The same for a page that is no document's."""
    return _replaced(output_content, *_SEARCH, template_name) if template_name == "404.html" else output_content


def on_post_build(config: Any) -> None:
    """Put into the theme's script what it leaves out."""
    for script in Path(config["site_dir"]).glob("assets/javascripts/bundle.*.min.js"):
        text = script.read_text(encoding="utf-8")
        for old, new in _FOR_ALL:
            text = _replaced(text, old, new, script.name)
        script.write_text(text, encoding="utf-8")


def _replaced(text: str, old: str, new: str, where: str) -> str:
    if text.count(old) != 1:
        raise PluginError(
            f"{where}: has {old!r} {text.count(old)} times; the theme has changed, see docs/_site/hooks.py"
        )
    return text.replace(old, new)
