"""The page of judged scenarios, drawn from `results.json` and `timing.json` alone, and from the results of the run before
where there are some.

The order is the reader's: the verdicts, what changed, the figures, then scenario by scenario, how to replay, and what all
this rests on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from relaysim.reports import summary
from relaysim.reports.claims import EXAMPLES_MAX
from relaysim.reports.determinism import same_again_words
from relaysim.reports.page import render_page, stories_that_fit
from relaysim.reports.results import claims_of
from relaysim.reports.summary import number

_CHANGES_MAX = 60
_TEXT_MAX = 600


def verify_html(
    results: Mapping[str, Any],
    *,
    timing: Mapping[str, Any] | None = None,
    previous: Mapping[str, Any] | None = None,
    figures: Mapping[str, str] | None = None,
    stories: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The page. `figures` are inline SVG by name (see `relaysim.reports.figures.draw_all`); without them none are shown.
    `stories` are those of first failures (see `relaysim.scenarios.first_failures`).

    Raises ValueError should the page weigh more than `relaysim.reports.page.SIZE_MAX` bytes.
    """
    claims = [claim for _, claim in claims_of(results)]
    shown = stories_that_fit(stories)
    replays = (str(each["replay"]) for claim in claims for each in claim["examples"] if each.get("replay"))
    return render_page(
        "verify.html",
        results,
        summary,
        timing=timing,
        figures=figures,
        rows=summary.summarise(results),
        changes=None if previous is None else _changes(results, previous),
        changes_max=_CHANGES_MAX,
        previous_version=(previous or {}).get("code_version", ""),
        examples_max=EXAMPLES_MAX,
        same_again=same_again_words(timing or {}),
        first_replay=next(replays, ""),
        by_construction=list(dict.fromkeys(claim["id"] for claim in claims if claim.get("by_construction"))),
        some_have=lambda key: any(key in scenario for scenario in results["scenarios"]),
        clipped=_clipped,
        stories=shown,
        stories_left_out=len(stories) - len(shown),
        story_of=partial(_story_of, shown),
        example_facts=_example_facts,
        invariants_of=_invariants_of,
        numbers_of=_numbers_of,
    )


def _story_of(stories: Sequence[Mapping[str, Any]], scenario: str, claim: str) -> str:
    """The anchor of the story of a claim or an invariant that was broken in a scenario; "" if there is none."""
    for place, each in enumerate(stories, start=1):
        if each["scenario"] == scenario and claim in each["of"]:
            return f"story-{place}"
    return ""


def _example_facts(example: Mapping[str, Any]) -> str:
    """What an example's detail has besides its sentence."""
    detail = example.get("detail")
    if not isinstance(detail, Mapping):
        return ""
    named = [(key, value) for key, value in sorted(detail.items()) if key != "text" and value not in (None, "", [], {})]
    return "; ".join(f"{key.replace('_', ' ')} {_clipped(_fact(value))}" for key, value in named)


def _fact(value: Any) -> str:
    """A fact as people write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(f"“{each}”" for each in value)
    return number(value) if isinstance(value, float) else str(value)


def _clipped(text: str) -> str:
    return text if len(text) <= _TEXT_MAX else text[: _TEXT_MAX - 1] + "…"


class _Change(NamedTuple):
    """A claim that another run judged otherwise, or not at all; or, without a claim's id, a scenario whose file changed."""

    scenario: str
    claim: str = ""
    before: Mapping[str, Any] | None = None
    now: Mapping[str, Any] | None = None


def _changes(results: Mapping[str, Any], previous: Mapping[str, Any]) -> list[_Change]:
    before = {(str(scenario["scenario"]), claim["id"]): claim for scenario, claim in claims_of(previous)}
    now = {(str(scenario["scenario"]), claim["id"]): claim for scenario, claim in claims_of(results)}
    changes = [_Change(*key, before.get(key), now.get(key)) for key in now | before]
    hashes = {each["scenario"]: each.get("hash") for each in previous["scenarios"]}
    return [each for each in changes if _counted(each.before) != _counted(each.now)] + [
        _Change(str(each["scenario"]))
        for each in results["scenarios"]
        if each["scenario"] in hashes and hashes[each["scenario"]] != each.get("hash")
    ]


def _counted(claim: Mapping[str, Any] | None) -> tuple[Any, ...] | None:
    return None if claim is None else (claim["verdict"], claim["count"], claim["n"])


class _Invariants(NamedTuple):
    """The invariants of a scenario: those that were broken, and the names of those that held and that were not met."""

    broken: list[tuple[str, Mapping[str, Any]]]
    kept: list[str]
    unmet: list[str]


def _invariants_of(scenario: Mapping[str, Any]) -> _Invariants:
    judged = sorted(scenario.get("invariants", {}).items(), key=_by_number)
    unbroken = [(name, each) for name, each in judged if not each["breaches"]]
    return _Invariants(
        [(name, each) for name, each in judged if each["breaches"]],
        [name for name, each in unbroken if each.get("checked", 1)],
        [name for name, each in unbroken if not each.get("checked", 1)],
    )


def _by_number(named: tuple[str, Any]) -> tuple[str, int, str]:
    """S2 before S10."""
    letters, digits = re.match(r"([A-Za-z]*)(\d*)", named[0]).groups()  # type: ignore[union-attr]
    return letters, int(digits or 0), named[0]


def _numbers_of(named: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The numbers among some values, as words."""
    return [
        (name, f"{value:,}" if isinstance(value, int) else number(value))
        for name, value in named.items()
        if isinstance(value, (int, float))
    ]
