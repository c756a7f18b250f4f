"""`python -m tests.mutants.noticed MUTANT SCENARIO STRATEGY ROOT WORLDS`: run worlds until a promise is seen broken.

Prints one line of JSON. In a process of its own, since the mutant takes the place of a module. `-` is no mutant.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

from tests.mutants.patches import mutants, put_in_place


def notice(scenario_name: str, strategy: str, root_seed: int, worlds: int) -> dict[str, Any]:
    """Run at most so many worlds, until the judge finds a promise broken.

    Returns:
        `worlds` that were run; `promises` that were broken in the last one, and what the judge `said` of each.
    """
    from relaysim.scenarios.load import load
    from relaysim.sim.world import Session, run_world
    from relaysim.sim.world.judge.catalogue import PROMISES

    sets = [f"root_seed={root_seed}"]
    if strategy != "independent":
        sets.append(f"strategy={strategy}")
    settings = load(scenario_name, sets).world_settings()
    said: dict[str, str] = {}
    seed = -1
    with Session():
        for seed in range(worlds):
            observation = run_world(settings, root_seed=root_seed, seed=seed, lane="direct").observation
            for promise in PROMISES:
                if observation["counts"].get(f"breach_{promise}"):
                    said[promise] = observation["details"][f"breach_{promise}"][0]["text"]
            if said:
                break
    return {"worlds": seed + 1, "promises": list(said), "said": said}


def main(arguments: Sequence[str]) -> int:
    name, scenario, strategy, root_seed, worlds = arguments
    if name != "-":
        put_in_place(mutants()[name])
    started = time.process_time()
    found = notice(scenario, strategy, int(root_seed), int(worlds))
    print(json.dumps({**found, "cpu_seconds": round(time.process_time() - started, 2)}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
