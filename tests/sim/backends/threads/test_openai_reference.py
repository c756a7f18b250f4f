"""The page of run states says what the table says; the page of behaviours names tests that exist and grades that are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from relaysim.sim.backends.threads.reference import page

ROOT = Path(__file__).parents[4]
STATES_PAGE = ROOT / "docs" / "run-states.md"
BEHAVIOURS_PAGE = ROOT / "docs" / "threads-api.md"
GRADES = {"W", "S", "C", "I", "R"}
_TEST = re.compile(r"`(tests/[\w/.]+\.py)::(\w+)`")


def rows() -> list[list[str]]:
    """The rows of the tables of behaviours: cells, the last of which names tests."""
    found = []
    for line in BEHAVIOURS_PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| ") and "`tests/" in line:
            found.append([cell.strip() for cell in line.strip("|").replace("\\|", "¦").split("|")])
    return found


def test_the_page_of_run_states_is_the_tables() -> None:
    assert STATES_PAGE.read_text(encoding="utf-8") == page(), (
        "run `python -m relaysim.sim.backends.threads.reference > docs/run-states.md`"
    )


def test_every_row_has_a_grade_and_tests_that_exist() -> None:
    assert len(rows()) >= 40
    for cells in rows():
        *_, grade, tests = cells
        assert set(re.findall(r"[A-Z]", grade)) <= GRADES, cells
        assert re.findall(r"[A-Z]", grade), cells
        named = _TEST.findall(tests)
        assert named, cells
        for file, name in named:
            assert name in _tests_of(ROOT / file), f"{file} has no {name}"


def _tests_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def test_every_table_row_names_a_test() -> None:
    lines = BEHAVIOURS_PAGE.read_text(encoding="utf-8").splitlines()
    bare = [
        line
        for line in lines
        if line.startswith("| ") and "`tests/" not in line and not line.startswith(("| behaviour", "| case", "| ---"))
    ]
    assert not bare, bare


@pytest.mark.parametrize("name", ["run-states.md", "threads-api.md"])
def test_pages_are_named_in_the_readme_or_the_design(name: str) -> None:
    said = (ROOT / "README.md").read_text(encoding="utf-8") + (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    assert name in said
