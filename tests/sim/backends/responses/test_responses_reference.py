"""The page of responses' states says what the table says; that of behaviours has a test or a reason for each."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

from relaysim.sim.backends.profile import Profile
from relaysim.sim.backends.responses import response_errors
from relaysim.sim.backends.responses.profile import ResponsesProfile
from relaysim.sim.backends.responses.reference import page

ROOT = Path(__file__).parents[4]
STATES_PAGE = ROOT / "docs" / "response-states.md"
BEHAVIOURS_PAGE = ROOT / "docs" / "responses-api.md"
_TEST = re.compile(r"`(tests/[\w/.]+\.py)::(\w+)`")


def rows() -> list[tuple[bool, list[str]]]:
    """The rows of the tables of behaviours: whether its table is one of tests; behaviour, grades, tests or reason."""
    found: list[tuple[bool, list[str]]] = []
    of_tests = False
    for line in BEHAVIOURS_PAGE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("| "):
            continue
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if cells[0] == "behaviour":
            of_tests = cells[2] == "test"
        else:
            found.append((of_tests, cells))
    return found


def words_of(text: str) -> str:
    """A text without ids, so that what a refusal says can be found on the page."""
    return re.sub(r"'(resp|conv)_X'|call_X|(msg|rs)_X", "ID", text)


def test_the_page_is_the_tables() -> None:
    assert STATES_PAGE.read_text(encoding="utf-8") == page(), (
        "run `python -m relaysim.sim.backends.responses.reference > docs/response-states.md`"
    )


def test_every_behaviour_has_a_grade_and_a_test_or_a_reason_and_tests_exist() -> None:
    assert sum(of_tests for of_tests, _ in rows()) >= 50
    assert sum(not of_tests for of_tests, _ in rows()) >= 20
    for of_tests, (behaviour, grades, shown) in rows():
        assert set(grades.split(", ")) <= {"R", "W", "S", "C", "I", "N"}, behaviour
        assert bool(_TEST.search(shown)) or not of_tests, behaviour
        # A reason is a sentence of its own, beside any test of what is said instead.
        assert of_tests or len(_TEST.sub("", shown).split()) >= 8, behaviour


def test_every_test_that_the_page_names_exists() -> None:
    for file, name in _TEST.findall(BEHAVIOURS_PAGE.read_text(encoding="utf-8")):
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, (file, name)


def test_every_refusal_and_every_switch_is_on_the_page() -> None:
    page_text = words_of(BEHAVIOURS_PAGE.read_text(encoding="utf-8"))
    sample = {"response_id": "resp_X", "conversation_id": "conv_X", "item_id": "msg_X", "call_id": "call_X"}
    refusals = {
        name: refusal(*(sample.get(parameter, "completed") for parameter in inspect.signature(refusal).parameters))
        for name, refusal in vars(response_errors).items()
        if inspect.isfunction(refusal)
    }
    assert len(refusals) >= 15
    for name, refusal in refusals.items():
        said = words_of(refusal.message).split(". Try again")[0]
        assert said in page_text, f"{name}: {said}"
    for switch in ResponsesProfile.model_fields.keys() - Profile.model_fields.keys():
        assert f"`{switch}" in page_text, switch


@pytest.mark.parametrize("name", ["response-states.md", "responses-api.md"])
def test_pages_are_named_in_the_readme_or_the_design(name: str) -> None:
    said = (ROOT / "README.md").read_text(encoding="utf-8") + (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    assert name in said
