"""`python -m tests.benchmarks.start_up`: what `relaysim --help` costs, beside a bare Python and `import openai`.

CPU time of processes of their own, in interleaved rounds: on any machine the ratios say whether the help is there at once,
or waits for the libraries of the simulator.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import Any

from tests.benchmarks.measure import children_cpu_seconds

HELP, BARE, OPENAI = "relaysim --help", "python -c pass", "import openai"
COMMANDS = {
    HELP: ("-m", "relaysim.scenarios", "--help"),
    BARE: ("-c", "pass"),
    OPENAI: ("-c", "import openai"),
}
GOAL_OF_OPENAI = 0.2
"""The help must cost no more than a fifth of what the SDK's import does, which every other command pays."""
GOAL_SECONDS = 0.2
"""And on a quiet machine it must be there after this time by the clock; the quickest round comes nearest to one."""


def commands(rounds: int) -> dict[str, Any]:
    """CPU seconds of each command, the help's ratios to the others, and how long it takes by the clock."""
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    waited: list[float] = []
    for number in range(-1, rounds):  # the first round warms the file cache and compiles
        names = list(COMMANDS)
        turn = max(number, 0) % len(names)
        for name in names[turn:] + names[:turn]:
            before, began = children_cpu_seconds(), time.perf_counter()
            subprocess.run([sys.executable, *COMMANDS[name]], check=True, stdout=subprocess.DEVNULL)
            if number >= 0:
                seconds[name].append(children_cpu_seconds() - before)
                waited += [time.perf_counter() - began] if name == HELP else []
    print(f"Start-up in a process of its own, CPU seconds, {rounds} rounds: median (least - greatest)")
    for name, found in seconds.items():
        print(f"  {name:50}{statistics.median(found):8.3f}  ({min(found):.3f} - {max(found):.3f})")
    medians = {}
    for other in (BARE, OPENAI):
        ratios = [mine / its for mine, its in zip(seconds[HELP], seconds[other], strict=True)]
        medians[other] = statistics.median(ratios)
        print(f"  -> ratio {HELP} / {other}: {medians[other]:.2f} ({min(ratios):.2f} - {max(ratios):.2f})")
    reached = "reached" if medians[OPENAI] <= GOAL_OF_OPENAI else "missed"
    print(f"  -> goal at most {GOAL_OF_OPENAI:g} of {OPENAI}: {reached}")
    print(f"  {f'{HELP}, by the clock':50}{statistics.median(waited):8.3f}  ({min(waited):.3f} - {max(waited):.3f})")
    soon = "reached" if min(waited) <= GOAL_SECONDS else "missed"
    print(f"  -> goal at most {GOAL_SECONDS:g} s in the quickest round: {soon}\n")
    return {
        "cpu_seconds": seconds,
        "ratio_medians": medians,
        "goal_of_openai": GOAL_OF_OPENAI,
        "help_seconds": waited,
        "goal_seconds": GOAL_SECONDS,
    }


if __name__ == "__main__":
    commands(10)
