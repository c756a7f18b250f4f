"""Every mutant can be made: what it replaces stands in the relay exactly once, and what comes out is Python or Lua."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.mutants.patches import RELAY, Mutant, mutants

MUTANTS = mutants()


def test_there_are_sixty_of_them_each_with_a_name_and_a_sentence_of_its_own() -> None:
    assert len(MUTANTS) == 60
    assert len({mutant.what for mutant in MUTANTS.values()}) == 60


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=lambda mutant: mutant.id)
def test_a_mutant_changes_its_module_and_is_a_program_still(mutant: Mutant) -> None:
    source = (RELAY / mutant.file).read_text()
    patched = mutant.apply(source)
    assert patched != source
    compile(patched, mutant.file, "exec")


def test_a_text_that_stands_there_twice_or_not_at_all_is_refused() -> None:
    mutant = Mutant("X", "drain/store.py", "nothing", (("a", "b"),))
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
