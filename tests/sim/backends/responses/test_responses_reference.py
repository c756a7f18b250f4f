"""The page of responses' states says what the table says; that of behaviours names grades and tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from relaysim.sim.backends.responses.reference import page

ROOT = Path(__file__).parents[4]
STATES_PAGE = ROOT / "docs" / "response-states.md"
BEHAVIOURS_PAGE = ROOT / "docs" / "responses-api.md"
_TEST = re.compile(r"`(tests/[\w/.]+\.py)::(\w+)`")


def rows() -> list[list[str]]:
    """The rows of the tables of behaviours: behaviour, grades, tests."""
    lines = BEHAVIOURS_PAGE.read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("| ")]
    return [each for each in cells if each[0] != "behaviour"]


def test_the_page_is_the_tables() -> None:
    assert STATES_PAGE.read_text(encoding="utf-8") == page(), (
        "run `python -m relaysim.sim.backends.responses.reference > docs/response-states.md`"
    )


def test_every_behaviour_has_a_grade_and_tests_that_exist() -> None:
    assert len(rows()) >= 25
    for behaviour, grades, tests in rows():
        assert set(grades.split(", ")) <= {"R", "W", "S", "C", "I"}, behaviour
        named = _TEST.findall(tests)
        assert named, behaviour
        for file, name in named:
            tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
            assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, (file, name)


@pytest.mark.parametrize("name", ["response-states.md", "responses-api.md"])
def test_pages_are_named_in_the_readme_or_the_design(name: str) -> None:
    said = (ROOT / "README.md").read_text(encoding="utf-8") + (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    assert name in said
