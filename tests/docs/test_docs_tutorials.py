"""Goal: each tutorial can be followed as it stands: its commands print what it says they print, in the order of the page.

Method: files and commands are taken from the page, into an empty folder; `relaysim` alone runs in this process. Figures,
indices of settings and the second look at each world, which nothing here prints, are left out.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import sys
from functools import partial
from pathlib import Path

import pytest

from relaysim.reports import figures, tune_figures
from relaysim.scenarios.determinism import recheck
from relaysim.scenarios.tune import sensitivity
from tests.docs.page_links import ROOT
from tests.sim.doors.server.console_page import assert_printed, examples_of, outputs_here

TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
#: Those that a socket or a real Redis belongs to have a test of their own.
HERE = [page for page in TUTORIALS if page.stem != "operator"]
LINES_MAX = 150
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# (\S+\.\w+)\n(.*)", re.DOTALL)


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize("page", HERE, ids=lambda page: page.stem)
def test_a_tutorial_can_be_followed(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(recheck, "SEEDS", 0)
    monkeypatch.setattr(figures, "draw_all", lambda _: {})
    monkeypatch.setattr(tune_figures, "draw_tuning", lambda _: {})
    monkeypatch.setattr(sensitivity, "indices", partial(sensitivity.indices, points=2**6))
    folder = tmp_path / "followed"
    folder.mkdir()
    commands = 0
    for kind, body in _BLOCK.findall(page.read_text(encoding="utf-8")):
        if kind == "console":
            part = tmp_path / "part.md"
            part.write_text(f"```console\n{body}```\n", encoding="utf-8")
            examples = examples_of(part)
            assert_printed(examples, outputs_here(examples, 8017, folder))
            commands += len(examples)
        elif written := _FILE.match(body):
            (folder / written[1]).write_text(written[2], encoding="utf-8")
            sys.modules.pop(Path(written[1]).stem, None)  # a file that is mended on the page is another module
            importlib.invalidate_caches()
        else:
            pytest.fail(f"a block that is neither a file nor a command: {body[:60]}")
    assert commands >= 4


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_takes_ten_minutes(page: Path) -> None:
    assert page.read_text(encoding="utf-8").count("\n") <= LINES_MAX
