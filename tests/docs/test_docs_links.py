"""Goal: no link of a page leads nowhere, on a code host.

Method: pages are read as Markdown; headings get GitHub's anchors."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.page_links import ROOT, broken, pages, read_page


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# Other\n\n## `drain` and *more*, twice\n\n## `drain` and more twice\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](other.md) [b](other.md#drain-and-more-twice-1) [c](other.md#no) [d](none.md) ![e](none.svg) [f](#page)\n"
        "[g](#gone) [h](https://example.org/none) [i](/other.md) `[j](none.md)`\n\n# Page\n\n    [k](none.md)\n"
    )
    assert [each.partition(":")[0] for each in broken(page)] == [
        "other.md#no",
        "none.md",
        "none.svg",
        "#gone",
        "/other.md",
    ]


def test_there_are_links_to_look_at() -> None:
    assert sum(len(read_page(page.read_text(encoding="utf-8")).links) for page in pages()) > 200


def test_the_first_page_leads_to_every_other() -> None:
    docs = ROOT / "docs"
    linked = {link.partition("#")[0] for link in read_page((docs / "index.md").read_text(encoding="utf-8")).links}
    assert {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")} - {"index.md"} - linked == set()
