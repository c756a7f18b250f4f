"""What the judge is told of a world besides its trace and its ledger: nothing of it moves a fingerprint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class WorldFacts(NamedTuple):
    """Facts of one world.

    asked_seconds   by the id of a request that was answered with `Retry-After`: how many seconds it asked for
    refusals_told   by worker, conversation and the instant at which a text that was refused had set off: when the worker
                    was told
    cut_off         by the id of a run that ended incomplete: for what reason
    kept            by message, a key in Redis that held its words when the world was over and does not run out
    """

    asked_seconds: Mapping[str, float] = {}
    refusals_told: Mapping[tuple[str, str, float], float] = {}
    kept: Mapping[str, str] = {}
    cut_off: Mapping[str, str] = {}


NO_FACTS = WorldFacts()
