"""What is left to `make soak` is listed in docs/testing.md, and no promise is left to it alone."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "testing.md"
_NAMED = re.compile(r"`(tests/\S+\.py)::(test_\w+)`")


def _tests_in(path: Path) -> dict[str, str]:
    """The tests of a file with their decorators."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.name: " ".join(map(ast.unparse, node.decorator_list))
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_")
    }


def _rows() -> list[tuple[str, str, list[str]]]:
    """File and name of each soak test on the page, and the names of the tests that stand in for it."""
    found = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if named := _NAMED.search(line):
            last = line.strip("| ").split(" | ")[-1]
            found.append((named[1], named[2], re.findall(r"`(test_\w+)`", last)))
    return found


def test_every_soak_test_is_on_the_page() -> None:
    listed = {(file, name) for file, name, _ in _rows()}
    marked = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for name, decorators in _tests_in(path).items()
        if "pytest.mark.soak" in decorators
    }
    assert listed == marked


def test_each_has_a_cheaper_test_that_stays() -> None:
    for file, name, others in _rows():
        tests = _tests_in(ROOT / file)
        if others:
            for other in others:
                assert other in tests, f"{file} has no {other}"
                assert "pytest.mark.soak" not in tests[other]
        else:
            # The same test with other arguments: only some of them are marked.
            assert "pytest.param" in tests[name], f"{file}::{name} has no cheaper test"
