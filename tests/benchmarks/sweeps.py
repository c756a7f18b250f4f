"""`python -m tests.benchmarks.sweeps`: how fast a sweep runs with one process and with two, and what memory it takes.

Both run the same seeds of `race` in lane `direct`, in turn, so that whatever else the machine does meets both. Wall time
counts: two processes that wait for one processor are the point. Beside them run two sweeps at once that have nothing to do
with each other, of one process each: two processors that share memory and caches are worth less than two machines, and what
they lose together no sweep can win back. Memory is the peak of all processes, with new ones for each run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.measure import machine

GOAL_EFFICIENCY = 0.95
SCENARIO = "race"
STEPS = (2_000, 8_000)
"""Replications whose memory is compared."""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.sweeps", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds of each; by default 5")
    parser.add_argument("--replications", type=int, default=4_000, metavar="N", help="worlds per run; by default 4000")
    options = parser.parse_args()
    where = machine()
    print(f"{where['cpus']} CPUs, {where['platform']}, {where['python']}")
    print(f"{SCENARIO}, lane direct, {options.replications:,} worlds per run, {options.rounds} rounds\n")
    rates: dict[str, list[float]] = {"jobs 1": [], "jobs 2": [], "two sweeps at once": []}
    for number in range(options.rounds):
        for name in list(rates) if number % 2 == 0 else reversed(list(rates)):
            timings = _timings(*_RUNS[name], options.replications)
            rates[name].append(sum(timing["replications_per_second"] for timing in timings))
            print(f"  {name}: {rates[name][-1]:,.0f}/s", flush=True)
    for name, seen in rates.items():
        print(f"{name}: {statistics.median(seen):,.0f}/s ({min(seen):,.0f} - {max(seen):,.0f})")
    one, two, apart = rates.values()
    efficiency = _median_ratio("efficiency", [each / (2 * alone) for each, alone in zip(two, one, strict=True)])
    reached = "reached" if efficiency >= GOAL_EFFICIENCY else "missed"
    print(f"  goal {GOAL_EFFICIENCY}: {reached}")
    _median_ratio("what the machine gives", [each / (2 * alone) for each, alone in zip(apart, one, strict=True)])
    _median_ratio("efficiency of that", [each / most for each, most in zip(two, apart, strict=True)])
    for count in STEPS:
        peak = _timings(1, 2, count)[0]["peak_memory_bytes"]
        print(f"{count:>6,} replications, jobs 2: {peak / 2**20:,.0f} MiB")
    return 0


_RUNS = {"jobs 1": (1, 1), "jobs 2": (1, 2), "two sweeps at once": (2, 1)}
"""Of each kind of run, how many commands, with how many processes."""


def _median_ratio(name: str, ratios: list[float]) -> float:
    median = statistics.median(ratios)
    print(f"{name} {median:.3f} ({min(ratios):.3f} - {max(ratios):.3f})")
    return median


def _timings(commands: int, jobs: int, replications: int) -> list[dict[str, float]]:
    """What sweeps say of themselves, run at once by commands of their own into folders of their own."""
    with tempfile.TemporaryDirectory() as folder:
        outs = [Path(folder) / str(number) for number in range(commands)]
        command = [sys.executable, "-m", "relaysim.scenarios", "sweep", SCENARIO, "--lane", "direct", "--quiet"]
        command += ["--jobs", str(jobs), "--replications", str(replications // commands)]
        started = [subprocess.Popen([*command, "--out", str(out)], stdout=subprocess.DEVNULL) for out in outs]
        if any(each.wait() for each in started):
            raise RuntimeError("a sweep failed")
        return [json.loads((out / "timing.json").read_text(encoding="utf-8")) for out in outs]


if __name__ == "__main__":
    sys.exit(main())
