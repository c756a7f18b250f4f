"""`python -m tests.benchmarks.checkouts BEFORE [--rounds N]`: whether worlds have become slower since another checkout.

A rate by itself says little: machines differ, and so do their neighbours, so that a loss of one per cent a week shows in no
figure of one run. Here both checkouts, each with its own environment (`make setup`), hold a session in a process of their
own and run the same seeds turn by turn; a checkout may also be from before all packages lay below `relaysim`. Exit code 1 if
some scenario lost more than 3 per cent by the median of the rounds; on a busy machine ask for more rounds.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.benchmarks.measure import Timing, ratio

WORLDS = {"race": 150, "incident": 150, "drain_faults": 4}
"""Scenarios, and how many worlds of each are a round: under a second."""

LOSS_MAX = 0.03

_HERE = Path(__file__).resolve().parents[2]

_WORKER = """
import sys, time
try:
    from relaysim.scenarios.load import load
    from relaysim.sim.world import Session, run_world
except ImportError:
    sys.path.insert(0, ".")
    from scenarios.load import load
    from sim.world import Session, run_world

scenario = load(sys.argv[1])
settings = scenario.world_settings()
with Session():
    for line in sys.stdin:
        began = time.process_time()
        for seed in range(int(line)):
            run_world(settings, root_seed=scenario.root_seed, seed=seed, lane="direct")
        print(time.process_time() - began, flush=True)
"""


class Checkout:
    """A process of a checkout that runs worlds of one scenario when it is asked to."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def cpu_seconds(self, worlds: int) -> float:
        """What the worlds of seeds 0, 1, ... took.

        Raises:
            SystemExit: its process has ended; it has said why.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{worlds}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"{self._process.args!r:.100} has ended")
        return float(answer)


@contextmanager
def checkout(folder: Path, scenario: str) -> Iterator[Checkout]:
    """A checkout's process, which ends with the block."""
    command = [str(folder / ".venv" / "bin" / "python"), "-c", _WORKER, scenario]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Checkout(process)


def compare(before: Path, after: Path, scenario: str, worlds: int, rounds: int) -> tuple[Timing, Timing]:
    """The rounds of both, one of which does not count; who comes first changes with the rounds."""
    timings = Timing(), Timing()
    with ExitStack() as stack:
        both = [stack.enter_context(checkout(folder, scenario)) for folder in (before, after)]
        for number in range(-1, rounds):
            for place in (0, 1) if number % 2 else (1, 0):
                seconds = both[place].cpu_seconds(worlds)
                if number >= 0:
                    timings[place].per_cpu_second.append(worlds / seconds)
    return timings


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.checkouts", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("before", type=Path, metavar="BEFORE", help="the folder of the other checkout")
    parser.add_argument("--rounds", type=int, default=15, help="how many count (default: 15)")
    options = parser.parse_args()
    slower = False
    for scenario, worlds in WORLDS.items():
        before, after = compare(options.before.resolve(), _HERE, scenario, worlds, options.rounds)
        kept, low, high = ratio(after, before)
        slower |= kept < 1 - LOSS_MAX
        print(
            f"{scenario}, direct: {before.median:,.1f} -> {after.median:,.1f} worlds per second of CPU time; "
            f"{kept:.3f} of it by the median of the rounds ({low:.3f} - {high:.3f})",
            flush=True,
        )
    return int(slower)


if __name__ == "__main__":
    sys.exit(main())
