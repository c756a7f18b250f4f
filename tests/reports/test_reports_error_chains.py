"""Goal: a story tells of a bot's exception what it came from, each with file and line, and no fingerprint knows of it.

Method: bots that raise one exception in place of another, in each of the ways that Python has, run in both lanes.
"""

from __future__ import annotations

import json
from typing import Any

import cause_bots
import pytest

from relaysim.reports.story import tell_story
from relaysim.reports.story_lanes import lanes_of
from relaysim.reports.timeline import render_timeline
from relaysim.scenarios.breached import subject_of
from relaysim.scenarios.load import load
from relaysim.sim.backends import backend_named
from relaysim.sim.kernel import chain_of_error
from relaysim.sim.world import run_world

OWN = "cause_bots.py:"
LOOKUP = "LookupError: nothing to read (cause_bots.py:"
JSON = (
    "raised while handling JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"
)


def told(factory: str, lane: Any = "direct", width: int = 300) -> tuple[list[str], list[dict[str, Any]], str]:
    """The rows of the story of the race's lost message, those of its page, and the world's fingerprint."""
    loaded = load("race", (), f"cause_bots:{factory}")
    result = run_world(loaded.world_settings(), root_seed=loaded.root_seed, seed=0, lane=lane, keep_trace=True)
    detail = result.observation["details"]["lost"][0]
    roles, records = backend_named(loaded.api).roles, result.records or []
    rows = render_timeline(records, width, subject_of(detail), roles=roles, breach=detail, lines_max=40)
    page = lanes_of(tell_story(records, subject_of(detail), roles=roles, breach=detail), records)["rows"]
    return rows, [row for row in page if row.get("chain")], result.fingerprint


@pytest.mark.parametrize(
    ("factory", "relations"),
    [
        ("cause", ["raised from LookupError", "raised while handling JSONDecodeError"]),
        ("context", ["raised while handling LookupError", "raised while handling JSONDecodeError"]),
        ("group", ["raised from ExceptionGroup", "holds LookupError", "raised while handling JSONDecodeError"]),
        ("logged", ["with LookupError", "raised while handling JSONDecodeError"]),
    ],
)
def test_a_story_tells_what_an_exception_came_from_with_file_and_line(factory: str, relations: list[str]) -> None:
    rows, page, _ = told(factory)
    found = [row.strip() for row in rows if any(row.strip().startswith(each) for each in relations)]
    assert [any(row.startswith(each) for row in found) for each in relations] == [True] * len(relations)
    assert all(f"({OWN}" in row for row in found)
    chain = page[0]["chain"]
    assert [each.startswith(relation) for each, relation in zip(chain, relations, strict=True)] == [True] * len(chain)
    assert any(LOOKUP in each and "in read: raise LookupError" in each for each in chain)
    assert chain[-1].startswith(JSON)


def test_nothing_of_it_is_cut_off_in_narrow_rows() -> None:
    wide, narrow = ("".join("".join(told("cause", width=width)[0]).split()) for width in (300, 80))
    for each in (
        "raised from LookupError: nothing to read (cause_bots.py:",
        "(cause_bots.py:",
        'json.loads(f"{{{text}"))',
    ):
        assert "".join(each.split()) in narrow
        assert "".join(each.split()) in wide


def test_what_the_bot_hides_is_hidden() -> None:
    rows, page, _ = told("hidden")
    assert page == []
    assert not any("raised from" in row or "raised while" in row for row in rows)


def test_no_fingerprint_knows_of_it_and_both_lanes_tell_the_same() -> None:
    fingerprints = {told(each)[2] for each in ("cause", "context", "hidden", "group")}
    assert len(fingerprints) == 1
    assert told("cause", "sdk") == told("cause")


def test_a_chain_that_comes_back_to_itself_or_never_ends_is_cut() -> None:
    with pytest.raises(cause_bots.UnreadableError) as caught:
        raise cause_bots.UnreadableError("first")
    first = caught.value
    with pytest.raises(KeyError) as other:
        raise KeyError("second") from first
    first.__cause__ = other.value
    assert [each.partition(" (")[0] for each in chain_of_error(other.value)] == ["raised from UnreadableError: first"]
    last: BaseException = first
    for number in range(100):
        try:
            raise ValueError(f"{number}{'x' * 500}") from last
        except ValueError as error:
            last = error
    chain = chain_of_error(last)
    assert len(chain) == 6
    assert all(len(each) < 500 for each in chain)
    assert chain_of_error(None) == ()


def test_what_a_librarys_own_exception_came_from_has_no_line_that_changes_between_versions() -> None:
    with pytest.raises(ValueError, match="Expecting property name") as caught:
        json.JSONDecoder().decode("{")
    inside = caught.value.__traceback__
    assert inside is not None
    last = ValueError("not JSON")
    last.__cause__ = caught.value.with_traceback(inside.tb_next)  # as one that a library handled itself
    (chain,) = chain_of_error(last)
    assert chain.startswith("raised from JSONDecodeError: ")
    assert chain.endswith("(json/decoder.py in raw_decode, a library)")
