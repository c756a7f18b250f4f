"""Every mutant can be made: what it replaces stands in the relay exactly once, and what comes out is Python or Lua."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants.patches import PACKAGE, Mutant, every_mutant, mutants

MUTANTS = every_mutant()
TESTS = Path(__file__).parent.parent


def test_there_are_sixty_of_them_each_with_a_name_and_a_sentence_of_its_own() -> None:
    assert len(mutants()) == 60
    assert len({mutant.what for mutant in MUTANTS.values()}) == len(MUTANTS)


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=lambda mutant: mutant.id)
def test_a_mutant_changes_its_module_and_is_a_program_still(mutant: Mutant) -> None:
    source = (PACKAGE / mutant.file).read_text()
    patched = mutant.apply(source)
    assert patched != source
    compile(patched, mutant.file, "exec")


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=lambda mutant: mutant.id)
def test_the_test_that_notices_a_mutant_is_there(mutant: Mutant) -> None:
    file, _, name = mutant.test.partition("::")
    assert f"def {name}(" in (TESTS / file).read_text(encoding="utf-8")


def test_a_text_that_stands_there_twice_or_not_at_all_is_refused() -> None:
    mutant = Mutant("X", "relay/drain/store.py", "nothing", (("a", "b"),), "relay/test_x.py::test_x")
    with pytest.raises(ValueError, match="stands 2 times"):
        mutant.apply("aa")
    with pytest.raises(ValueError, match="stands 0 times"):
        mutant.apply("cc")


def test_a_mutant_takes_the_modules_place_in_its_own_process_only() -> None:
    """D01 ends a message before its text is sent, which the first world shows; the file itself stays what it was."""
    command = [sys.executable, "-m", "tests.mutants.noticed", "D01", "drain_faults", "independent", "20251104", "1"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(ended.stdout)
    assert found["worlds"] == 1
    assert "S1" in found["promises"]
