"""The reference of scenario files says what the code says, and every field of them is documented."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel

from relaysim.reports.claims import ClaimSpec, measure
from relaysim.scenarios.load import load
from relaysim.scenarios.model import Scenario
from relaysim.scenarios.scenario_reference import _sections, reference
from relaysim.scenarios.verdicts import verify_scenario

PAGE = Path(__file__).parents[2] / "docs" / "scenarios.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), (
        "run `python -m relaysim.scenarios.scenario_reference > docs/scenarios.md`"
    )


def test_the_example_of_a_percentile_counts_who_was_never_answered(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(# in_time\.toml\n.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    file = tmp_path / "in_time.toml"
    file.write_text(example, encoding="utf-8")
    scenario = load(str(file))
    entry, _ = verify_scenario(scenario, replications=300, lane="direct", lane_check=0)
    verdicts = {claim["id"]: (claim["verdict"], claim["count"], claim["n"]) for claim in entry["claims"]}
    assert (verdicts["p95"], verdicts["half"]) == (("verified", 600, 600), ("verified", 0, 600))


def test_half_of_the_messages_answered_at_once_are_no_percentile_of_all() -> None:
    observation = {
        "counts": {"messages": 4},
        "series": {"reply_seconds": [1.0, 2.0]},
        "details": {},
        "seed": 0,
    }
    claim = ClaimSpec(id="p", title="p", kind="above", event="reply_seconds <= 20", among="messages", limit=0.95)
    assert measure(claim, observation)[:2] == (2, 4)


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
