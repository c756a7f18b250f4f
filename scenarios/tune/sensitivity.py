"""How the gain depends on what the backend really is like, by the closed form.

Two questions. *Where does it end?* The objectives under perturbed profiles: a time to free that is half or twice as
long, no stuck runs, and 2 % of them. *What does it hang on?* Sobol' indices of the present settings' and the
candidate's objectives over ranges of the same numbers: the share of an objective's variance that goes away when one
number is known (first order), and that stays when only it is not (total).

The points that the indices are estimated with are Sobol's sequence itself, so that they depend on no generator. With so
many of them a total index comes out no more than 0.01 below the first-order one, which it is never below in truth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from relaysim.relay import RetrySettings
from relaysim.reports.statistics import rounded
from relaysim.scenarios.tune.closed_form import Backend, Expected, expected
from relaysim.scenarios.tune.objectives import IDS

PERTURBATIONS: Mapping[str, Callable[[Backend], Backend]] = {
    "as it is": lambda backend: backend,
    "frees in half the time": lambda backend: backend.perturbed(free_scale=0.5),
    "takes twice as long to free": lambda backend: backend.perturbed(free_scale=2.0),
    "no stuck runs": lambda backend: backend.perturbed(stuck=0.0),
    "2 % stuck runs": lambda backend: backend.perturbed(stuck=0.02),
}
"""What is asked of each profile."""

RANGES: Mapping[str, tuple[float, float]] = {
    "time to free, times": (0.5, 2.0),
    "share of stuck runs": (0.0, 0.02),
    "API latency, times": (0.5, 2.0),
}
"""The ranges of the Sobol' indices, each number uniform in its own."""

POINTS = 2**12
"""Points of the plan of Sobol' indices."""

#: Draws of latency that the closed form takes its expectation over for each of these points.
_DRAWS = 128


def perturbed(
    candidate: RetrySettings, present: RetrySettings, backends: Mapping[str, Backend]
) -> list[dict[str, Any]]:
    """The objectives of both under each perturbation of each profile."""
    rows = []
    for profile, backend in backends.items():
        for name, change in PERTURBATIONS.items():
            then, now = expected(candidate, change(backend)), expected(present, change(backend))
            rows.append(
                {
                    "profile": profile,
                    "perturbation": name,
                    "candidate": _shown(then),
                    "present": _shown(now),
                    "better": {
                        each: bool(value < present_value)
                        for each, value, present_value in zip(IDS, then.as_tuple(), now.as_tuple(), strict=True)
                    },
                }
            )
    return rows


def _shown(value: Expected) -> dict[str, float]:
    return dict(zip(IDS, map(rounded, value.as_tuple()), strict=True))


def sobol(settings: RetrySettings, backend: Backend) -> dict[str, dict[str, dict[str, float]]]:
    """Per objective and number: its `first` and its `total` index, to two digits."""

    def outcomes(points: Any) -> Any:
        import numpy as np

        found = []
        for scale, stuck, request in points.T:
            changed = backend.perturbed(free_scale=scale, request_scale=request, stuck=stuck)
            found.append(expected(settings, changed, draws=_DRAWS).as_tuple())
        return np.array(found).T  # a row for each objective

    first, total = indices(outcomes, list(RANGES.values()))
    return {
        objective: {
            name: {
                "first": round(float(first[row][column]), 2) + 0.0,
                "total": round(float(total[row][column]), 2) + 0.0,
            }
            for column, name in enumerate(RANGES)
        }
        for row, objective in enumerate(IDS)
    }


def indices(
    outcomes: Callable[[Any], Any], ranges: Sequence[tuple[float, float]], points: int = POINTS
) -> tuple[Any, Any]:
    """First-order and total Sobol' indices (Saltelli and others, Computer Physics Communications 181, 2010).

    Args:
        outcomes: takes an array with a row for each number and a column for each point; gives one with a row for each
            outcome.
        ranges: of each number, which is uniform in its own.
        points: of the plan, a power of 2; `outcomes` is asked so often for each number, and twice more.

    Returns:
        Two arrays with a row for each outcome and a column for each number.
    """
    import numpy as np
    from scipy.stats import qmc, sobol_indices

    count = len(ranges)
    # Not scrambled, so that no generator has a say; in the middle of their cells, so that none lies on an edge.
    plan = qmc.Sobol(2 * count, scramble=False).random_base2(points.bit_length() - 1) + 0.5 / points
    low, width = (np.array(each)[:, None] for each in ([ends[0] for ends in ranges], [b - a for a, b in ranges]))
    one, other = (low + width * part.T for part in (plan[:, :count], plan[:, count:]))
    mixed = []
    for place in range(count):
        crossed = one.copy()
        crossed[place] = other[place]
        mixed.append(outcomes(crossed))
    found = sobol_indices(
        func={"f_A": outcomes(one), "f_B": outcomes(other), "f_AB": np.array(mixed)}, n=points, method="saltelli_2010"
    )
    return np.atleast_2d(found.first_order), np.atleast_2d(found.total_order)  # of one outcome, scipy drops the row
