"""Goal: no file of the product grows past 400 lines unnoticed: one that does says why in its docstring."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINES_MAX = 400
REASON = ("Longer than 400 lines because", "More than 400 lines, because")


def unexplained(folder: Path) -> list[str]:
    """Files that are too long and do not say why."""
    found = []
    for path in sorted(folder.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if source.count("\n") > LINES_MAX:
            said = " ".join((ast.get_docstring(ast.parse(source)) or "").split())
            if not any(reason in said for reason in REASON):
                found.append(path.relative_to(folder).as_posix())
    return found


def test_every_long_file_says_why() -> None:
    assert {name: unexplained(ROOT / name) for name in ("relay", "sim", "scenarios", "reports")} == {
        "relay": [],
        "sim": [],
        "scenarios": [],
        "reports": [],
    }


def test_a_long_file_without_a_reason_is_found(tmp_path: Path) -> None:
    (tmp_path / "long.py").write_text('"""Long."""\n' + "x = 1\n" * LINES_MAX)
    (tmp_path / "short.py").write_text("x = 1\n" * LINES_MAX)
    (tmp_path / "explained.py").write_text('"""Long.\n\nLonger than 400 lines\nbecause.\n"""\n' + "x = 1\n" * LINES_MAX)
    assert unexplained(tmp_path) == ["long.py"]
