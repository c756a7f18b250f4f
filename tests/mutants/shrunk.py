"""`python -m tests.mutants.shrunk MUTANT SCENARIO ROOT WORLDS`: hunt a mutant with the portfolio, shrink what is found.

Prints one line of JSON: what was found, into how many choices, messages and workers it was shrunk, and what that took, in
worlds and in seconds of the processor. In a process of its own, since the mutant takes the place of a module. `-` is no
mutant.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

from tests.mutants.patches import mutants, put_in_place


def shrunk(scenario_name: str, root_seed: int, worlds: int) -> dict[str, Any]:
    """What `explore` finds in so many worlds at most, and what is left of it; `event` is missing if that is nothing."""
    from relaysim.scenarios.explore.hunting import hunt
    from relaysim.scenarios.explore.shrinking import shrink
    from relaysim.scenarios.load import load

    scenario = load(scenario_name, ["strategy=portfolio", f"root_seed={root_seed}"])
    found, effort = hunt(scenario, worlds=worlds, seconds=None, lane="direct", jobs=1)
    if found is None:
        return {"worlds": effort.worlds}
    event = found.breaches[0].event
    started = time.process_time()
    left = shrink(scenario, found.seed, event, "direct")
    return {
        "worlds": effort.worlds,
        "event": event,
        "deviations": left.case.deviations,
        "messages": len(left.case.settings.workload.messages),
        "workers": sum(group.count for group in left.case.settings.workers),
        "minimal": left.is_minimal,
        "runs": left.runs,
        "cpu_seconds": round(time.process_time() - started, 2),
        "text": left.breach.text,
    }


def main(arguments: Sequence[str]) -> int:
    name, scenario, root_seed, worlds = arguments
    if name != "-":
        put_in_place(mutants()[name])
    print(json.dumps({"mutant": name, **shrunk(scenario, int(root_seed), int(worlds))}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
