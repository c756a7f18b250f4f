"""Worlds in which something went wrong once, each with all its choices on a tape: none of it happens again.

`relaysim explore` wrote them. A seed proves most just after its defect was mended: whatever changes what a relay asks for
moves the choices that come after. What it stands for has a test of its own.

    drain_faults-S1-259        a thread was left behind; a message that had ended, written after one that waited, took
                               that one's place in the copy
    drain_faults-L7-277        the judge: a lease ran out after a step that Redis had not answered
    drain_failover-S9-156      the judge: a failover had taken the note of a creation, which nobody could look for
    drain_responses-S13-46     the judge: a copy of a thread's newest texts held a reply that nobody had been sent
"""

from __future__ import annotations

from pathlib import Path

import pytest

from relaysim.scenarios.cli import main
from relaysim.scenarios.load import load

SEEDS = sorted((Path(__file__).parent / "seeds").glob("*.toml"))


def test_each_seed_is_described() -> None:
    assert [each.stem for each in SEEDS if each.stem not in (__doc__ or "")] == []
    assert len(SEEDS) >= 3


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.stem)
def test_what_was_mended_does_not_happen_again(seed: Path, tmp_path: Path) -> None:
    assert load(str(seed)).tape is not None
    assert main(["verify", str(seed), "--quiet", "--recheck", "0", "--out", str(tmp_path)]) == 0
