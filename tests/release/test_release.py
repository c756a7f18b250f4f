"""Goal: a release is refused until its version, its changelog and the checkout agree."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from check_release import mistakes

ROOT = Path(__file__).resolve().parents[2]
READY = (
    "# Changelog\n\n## [Unreleased]\n\n## [1.2.0] - 2026-01-02\n\n### Added\n- A thing.\n\n## [1.1.0] - 2025-01-02\n"
)


def test_a_release_whose_version_date_and_files_agree_has_no_mistakes() -> None:
    assert mistakes("1.2.0", READY, "") == []


def test_every_mistake_is_named() -> None:
    waiting = READY.replace("[Unreleased]\n", "[Unreleased]\n- More.\n")
    assert "[Unreleased] has lines" in mistakes("1.2.0", waiting, "")[0]
    assert "newest section of CHANGELOG.md is 1.2.0" in mistakes("1.3.0", READY, "")[0]
    assert "needs a date" in mistakes("1.2.0", READY.replace("1.2.0] - 2026-01-02", "1.2.0]"), "")[0]
    assert "needs a date and what" in mistakes("1.2.0", READY.replace("### Added\n- A thing.\n", ""), "")[0]
    assert mistakes("1.2.0", READY, " M sim/a.py\n?? new.txt\n") == ["not committed: sim/a.py, new.txt"]
    assert "newest section of CHANGELOG.md is none" in mistakes("1.0.0", "# Changelog\n", "")[0]


def test_the_version_of_pyproject_has_its_section() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
