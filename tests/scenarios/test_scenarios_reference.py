"""The reference of scenario files says what the code says, and every field of them is documented."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from relaysim.scenarios.model import Scenario
from relaysim.scenarios.scenario_reference import _sections, reference

PAGE = Path(__file__).parents[2] / "docs" / "scenarios.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), (
        "run `python -m relaysim.scenarios.scenario_reference > docs/scenarios.md`"
    )


def test_every_field_is_documented() -> None:
    models: list[type[BaseModel]] = []
    _sections(Scenario, models)
    assert len(models) > 8
    bare = [
        f"{model.__name__}.{name}"
        for model in models
        for name, info in model.model_fields.items()
        if not info.description
    ]
    assert bare == []
