"""The page on serving: what its commands print is what the page says, and its lists are those of the code."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path
from typing import get_args

import pytest
from console_page import assert_printed, examples_of, outputs_of, serving

from relaysim.sim.backends.profile import shipped_profiles
from relaysim.sim.backends.replies import ScriptedReplies
from relaysim.sim.doors.faults import ApiFault

PAGE = Path(__file__).parents[4] / "docs" / "serving.md"
TEXT = PAGE.read_text(encoding="utf-8")


@pytest.mark.skipif(not (shutil.which("bash") and shutil.which("curl")), reason="needs bash and curl")
def test_the_examples_print_what_the_page_says(tmp_path: Path) -> None:
    serve, *others = examples_of(PAGE)
    assert len(others) >= 12
    with serving(serve, tmp_path) as port:
        assert_printed(others, outputs_of(others, port, tmp_path))


def test_every_fault_and_every_shipped_profile_is_listed() -> None:
    kinds = get_args(ApiFault.model_fields["kind"].annotation)
    listed = re.findall(r"^\| `(\w+)` \| ", TEXT, re.MULTILINE)
    assert listed == list(dict.fromkeys(listed))
    assert set(listed) == set(kinds)
    for name in shipped_profiles():
        assert f"`{name}`" in TEXT


def test_the_script_of_replies_is_one() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    assert len(ScriptedReplies.model_validate(tomllib.loads(block)).replies) == 3
