"""`python -m tests.release.check_release`: is this checkout the release that it says it is?

The version in pyproject.toml must be the newest section of CHANGELOG.md, with a date and at least one line; nothing may
wait under [Unreleased]; and every file must be committed. Exit code 1, with a line per mistake, otherwise.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_SECTION = re.compile(r"^## \[(?P<version>[^\]]+)\](?: - (?P<date>\d{4}-\d{2}-\d{2}))?$", re.MULTILINE)


def mistakes(version: str, changelog: str, uncommitted: str) -> list[str]:
    """What keeps `version` from being released, one line each.

    Args:
        version: as in pyproject.toml.
        changelog: the text of CHANGELOG.md.
        uncommitted: what `git status --porcelain` prints.
    """
    found = []
    sections = list(_SECTION.finditer(changelog))
    ends = [section.start() for section in sections[1:]] + [len(changelog)]
    texts = {
        section["version"]: changelog[section.end() : end].strip()
        for section, end in zip(sections, ends, strict=False)  # without a section, one end
    }
    if texts.get("Unreleased"):
        found.append(f"CHANGELOG.md: [Unreleased] has lines: move them under `## [{version}] - YYYY-MM-DD`")
    released = [section for section in sections if section["version"] != "Unreleased"]
    if not released or released[0]["version"] != version:
        newest = released[0]["version"] if released else "none"
        found.append(f"pyproject.toml: version is {version}, and the newest section of CHANGELOG.md is {newest}")
    elif not released[0]["date"] or not texts[version]:
        found.append(f"CHANGELOG.md: the section of {version} needs a date and what has changed")
    if uncommitted.strip():
        found.append(f"not committed: {', '.join(line[3:] for line in uncommitted.splitlines())}")
    return found


def main() -> int:
    """Check the checkout that holds this file."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    status = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True)
    found = mistakes(version, (ROOT / "CHANGELOG.md").read_text(), status.stdout)
    print("\n".join(found) or f"{version} can be released")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
