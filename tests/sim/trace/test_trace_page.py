"""The page of the trace says what the schema says."""

from __future__ import annotations

from pathlib import Path

from relaysim.sim.trace.schema import EVENTS, RunMetadata, describe
from relaysim.sim.trace.schema_page import page

PAGE = Path(__file__).parents[3] / "docs" / "trace.md"


def test_the_page_is_the_schemas() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m relaysim.sim.trace.schema_page > docs/trace.md`"


def test_every_record_and_every_field_says_what_it_means() -> None:
    for event in EVENTS:
        assert (event.__doc__ or "").strip().endswith("."), event
        fields = describe(event)
        assert tuple(field.name for field in fields) == event._fields
        assert all(field.meaning for field in fields)
    assert describe(RunMetadata)[2] == ("pairs", "tuple[str, ...]", "each `name=value`")
