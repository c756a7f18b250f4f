"""The page of responses' states says what the table says."""

from __future__ import annotations

from pathlib import Path

from relaysim.sim.backends.responses.reference import page

PAGE = Path(__file__).parents[4] / "docs" / "response-states.md"


def test_the_page_is_the_tables() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "run `python -m relaysim.sim.backends.responses.reference > docs/response-states.md`"
    )
