"""`python -m tests.mutants`: after how many worlds of each strategy each mutant of the relay is noticed; or, by which test.

Each mutant meets the same worlds, until the judge finds a promise of the relay (S1 to L5) broken, or `--worlds` are over.
What is measured is kept in `--out`, a line for each mutant and strategy, and not measured again by a later run of the same
code (`--fresh` forgets it). The mutant `-` is the relay itself, in which nothing may be noticed.

With `--tests` the test that is named for each mutant, of the relay and of what judges it, runs with the mutant in place.
Exit code 1: one was not noticed.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from relaysim.reports.statistics import clopper_pearson
from relaysim.scenarios.timing import code_version
from tests.mutants.patches import Mutant, every_mutant, mutants

_ALPHA = 0.05

Key = tuple[str, str, int]
"""A mutant, a strategy, a root seed."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.partition("\n")[0])
    parser.add_argument("mutants", nargs="*", metavar="MUTANT", help="which, `-` for the relay itself; by default all")
    parser.add_argument("--strategy", action="append", metavar="NAME", help="by default independent and portfolio")
    parser.add_argument("--scenario", default="drain_faults", help="whose worlds")
    parser.add_argument("--root-seed", type=int, action="append", help="by default 1; may be given several times")
    parser.add_argument("--worlds", type=int, default=300, help="at most so many per mutant and strategy")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("--all", action="store_true", help="also those that worlds cannot tell from the relay")
    parser.add_argument("--out", type=Path, default=Path("reports/out/mutants.jsonl"), help="what was measured")
    parser.add_argument("--tests", action="store_true", help="run the test that is named for each, and no worlds")
    parser.add_argument("--fresh", action="store_true", help="measure again what was measured before")
    options = parser.parse_args()
    known = every_mutant() if options.tests else mutants()
    if unknown := [name for name in options.mutants if name != "-" and name not in known]:
        parser.error(f"there is no mutant {', '.join(unknown)}; there are {', '.join(known)}")
    names = options.mutants or [each.id for each in known.values() if options.all or each.unseen is None]
    if options.tests:
        return _run_tests(
            [known[name] for name in options.mutants if name != "-"] or list(known.values()), options.jobs
        )
    strategies = options.strategy or ["independent", "portfolio"]
    wanted = [(name, each, root) for each in strategies for name in names for root in options.root_seed or [1]]
    version = code_version()
    done = {} if options.fresh else _read(options.out, version, options.scenario)
    left = [key for key in wanted if not _is_known(done.get(key), options.worlds)]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(options.jobs) as pool, options.out.open("a") as out:
        futures = {pool.submit(_measure, key, options.scenario, options.worlds): key for key in left}
        for future in as_completed(futures):
            key = futures[future]
            done[key] = found = future.result()
            line = {"mutant": key[0], "strategy": key[1], "root_seed": key[2], "version": version, **found}
            out.write(json.dumps({**line, "scenario": options.scenario}) + "\n")
            out.flush()
            seen = ", ".join(found["promises"]) or "nothing"
            print(f"{key[0]:<5} {key[1]:<14} {found['worlds']:>4} worlds: {seen}", file=sys.stderr)
    _report(names, strategies, {key: done[key] for key in wanted})
    return 0


def _run_tests(chosen: Sequence[Mutant], jobs: int) -> int:
    unnoticed = []
    with ThreadPoolExecutor(jobs) as pool:
        for mutant, is_noticed in zip(chosen, pool.map(_notices, chosen), strict=True):
            print(f"{mutant.id:<20} {'noticed by' if is_noticed else 'NOT NOTICED by'} {mutant.test}", flush=True)
            if not is_noticed:
                unnoticed.append(mutant.id)
    print(f"{len(chosen) - len(unnoticed)} of {len(chosen)} noticed" + "".join(f", not {each}" for each in unnoticed))
    return 1 if unnoticed else 0


def _notices(mutant: Mutant) -> bool:
    """Whether its test fails, or does not end. Raises RuntimeError if the test could not be run at all."""
    command = [sys.executable, "-m", "tests.mutants.tested", mutant.id, f"tests/{mutant.test}"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode > 1:
        raise RuntimeError(f"{mutant.id}: {' '.join(command)} ended with {ended.returncode}: {ended.stdout[-500:]}")
    return ended.returncode != 0


def _read(path: Path, version: str, scenario: str) -> dict[Key, dict[str, Any]]:
    lines = path.read_text().splitlines() if path.exists() else []
    found = [json.loads(line) for line in lines if line.endswith("}")]
    return {
        (each["mutant"], each["strategy"], each["root_seed"]): each
        for each in found
        if each["version"] == version and each["scenario"] == scenario
    }


def _is_known(found: Mapping[str, Any] | None, worlds: int) -> bool:
    return found is not None and (bool(found["promises"]) or found["worlds"] >= worlds)


def _measure(key: Key, scenario: str, worlds: int) -> dict[str, Any]:
    name, strategy, root_seed = key
    command = [sys.executable, "-m", "tests.mutants.noticed", name, scenario, strategy, str(root_seed), str(worlds)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        # A mutant may keep a world from ending: that is noticed too, though no promise names it.
        reason = ended.stderr.strip().splitlines()[-1:]
        return {"worlds": 1, "promises": ["ends with an error"], "said": {"error": " ".join(reason)}}
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def _report(names: Sequence[str], strategies: Sequence[str], done: Mapping[Key, Mapping[str, Any]]) -> None:
    known = mutants()
    print(f"worlds to the first breach, 95 % interval ({'>'} where there was none)\n")
    for name in names:
        cells = [_cell([found for key, found in done.items() if key[:2] == (name, each)]) for each in strategies]
        print(f"{name:<5}" + "".join(f"{cell:<34}" for cell in cells) + ("" if name == "-" else known[name].what))
    print()
    for each in strategies:
        rows = [_worlds([found for key, found in done.items() if key[:2] == (name, each)]) for name in names]
        noticed = sum(hits > 0 for _, hits in rows)
        mean = math.exp(sum(math.log(worlds / max(1, hits)) for worlds, hits in rows) / len(rows))
        print(f"{each}: {noticed} of {len(rows)} noticed; geometric mean {mean:.1f} worlds or more")


def _worlds(found: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """All worlds of these runs, and how many of the runs ended with a breach."""
    return sum(each["worlds"] for each in found), sum(bool(each["promises"]) for each in found)


def _cell(found: Sequence[Mapping[str, Any]]) -> str:
    worlds, hits = _worlds(found)
    promises = "+".join(dict.fromkeys(promise for each in found for promise in each["promises"]))
    # Each run stops at its first breach, the last of so many trials: the lower end does not count it.
    high = clopper_pearson(hits, worlds, _ALPHA)[1] if hits else 1 - _ALPHA ** (1 / worlds)
    low = clopper_pearson(hits - 1, worlds - 1, _ALPHA)[0] if hits > 1 else 1 - (1 - _ALPHA / 2) ** (1 / worlds)
    if not hits:
        return f"> {worlds} ({1 / high:.0f}-)"
    return f"{worlds / hits:.0f} ({1 / high:.0f}-{1 / low:.0f}) {promises}"


if __name__ == "__main__":
    sys.exit(main())
