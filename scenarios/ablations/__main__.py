"""`python -m relaysim.scenarios.ablations`: prints docs/ablations.md from what was recorded.

With `--record` it runs all of it first.
"""

from __future__ import annotations

import argparse
import sys

from relaysim.reports.results import canonical, write_text
from relaysim.scenarios.ablations.ablations_page import RECORDED, page, recorded
from relaysim.scenarios.ablations.measure import load_ablations, measure, surprises
from relaysim.scenarios.timing import cores


def main() -> int:
    """Exit code 1 if what was found is not as it should be; it is recorded all the same."""
    parser = argparse.ArgumentParser(prog="python -m relaysim.scenarios.ablations", description=__doc__)
    parser.add_argument("--record", action="store_true", help="run every ablation, and write recorded.json")
    parser.add_argument("--jobs", type=int, default=cores(), metavar="N", help="processes")
    arguments = parser.parse_args()
    if not arguments.record:
        print(page(recorded()), end="")
        return 0
    results, _ = measure(load_ablations(), jobs=arguments.jobs)
    for row in (*results["ablations"], *results["whole"]):
        del row["fingerprints"]  # they move with every event, and say nothing here
    write_text(RECORDED, canonical(results))
    wrong = surprises(results)
    for message in wrong:
        print(message, file=sys.stderr)
    print(page(recorded()), end="")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
