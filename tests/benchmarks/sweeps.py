"""`python -m tests.benchmarks.sweeps`: how fast a sweep runs with one process and with two, and what memory it takes.

Both run the same seeds of `race` in lane `direct`, in turn, so that whatever else the machine does meets both. Wall time
counts: two processes that wait for one processor are the point. Memory is the peak of all processes, with new ones for each
run.
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
    rates: dict[int, list[float]] = {1: [], 2: []}
    for number in range(options.rounds):
        for jobs in (1, 2) if number % 2 == 0 else (2, 1):
            rates[jobs].append(_timing(jobs, options.replications)["replications_per_second"])
            print(f"  jobs {jobs}: {rates[jobs][-1]:,.0f}/s", flush=True)
    for jobs, seen in rates.items():
        print(f"jobs {jobs}: {statistics.median(seen):,.0f}/s ({min(seen):,.0f} - {max(seen):,.0f})")
    each = [two / (2 * one) for one, two in zip(rates[1], rates[2], strict=True)]
    median = statistics.median(each)
    reached = "reached" if median >= GOAL_EFFICIENCY else "missed"
    print(f"efficiency {median:.2f} ({min(each):.2f} - {max(each):.2f}), goal {GOAL_EFFICIENCY}: {reached}\n")
    for count in STEPS:
        peak = _timing(2, count)["peak_memory_bytes"]
        print(f"{count:>6,} replications, jobs 2: {peak / 2**20:,.0f} MiB")
    return 0


def _timing(jobs: int, replications: int) -> dict[str, float]:
    """What a sweep says of itself, run by a command of its own into a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "scenarios", "sweep", SCENARIO, "--lane", "direct", "--quiet"]
        options = ["--jobs", str(jobs), "--replications", str(replications), "--out", folder]
        subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL)
        timing: dict[str, float] = json.loads((Path(folder) / "timing.json").read_text(encoding="utf-8"))
        return timing


if __name__ == "__main__":
    sys.exit(main())
