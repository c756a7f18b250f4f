"""How the gain depends on what the backend really is like, by the closed form.

Two questions. *Where does it end?* The objectives under perturbed profiles: a time to free that is half or twice as
long, no stuck runs, and 2 % of them. *What does it hang on?* Sobol' indices of the present settings' and the
candidate's objectives over ranges of the same numbers: the share of an objective's variance that goes away when one
number is known (first order), and that stays when only it is not (total).

The numbers that the indices are estimated with are keyed, so that they depend on no library's generator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from relay import RetrySettings
from reports.statistics import rounded
from scenarios.tune.closed_form import Backend, Expected, expected
from scenarios.tune.objectives import IDS
from sim.kernel import Draws

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

#: Points of the plan; the closed form is asked so often for each number, and twice more.
_POINTS = 256


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
                        each: bool(mine < theirs)
                        for each, mine, theirs in zip(IDS, then.as_tuple(), now.as_tuple(), strict=True)
                    },
                }
            )
    return rows


def _shown(value: Expected) -> dict[str, float]:
    return dict(zip(IDS, map(rounded, value.as_tuple()), strict=True))


def sobol(settings: RetrySettings, backend: Backend) -> dict[str, dict[str, dict[str, float]]]:
    """Per objective and number: its `first` and its `total` index, to two digits."""
    import numpy as np
    from scipy.stats import sobol_indices

    names = list(RANGES)
    draws = Draws(0, 0)
    one, other = (
        np.array([[draws.uniform(f"sobol {what}", name, at) for at in range(_POINTS)] for name in names])
        for what in ("A", "B")
    )

    def outcomes(points: Any) -> Any:
        found = []
        for point in points.T:
            numbers = {
                name: low + u * (high - low) for (name, (low, high)), u in zip(RANGES.items(), point, strict=True)
            }
            changed = backend.perturbed(
                free_scale=numbers["time to free, times"],
                request_scale=numbers["API latency, times"],
                stuck=numbers["share of stuck runs"],
            )
            found.append(expected(settings, changed).as_tuple())
        return np.array(found).T  # a row for each objective

    mixed = []
    for place in range(len(names)):
        points = one.copy()
        points[place] = other[place]
        mixed.append(outcomes(points))
    found = sobol_indices(
        func={"f_A": outcomes(one), "f_B": outcomes(other), "f_AB": np.array(mixed)}, n=_POINTS, method="saltelli_2010"
    )
    return {
        objective: {
            name: {
                "first": round(float(found.first_order[row][column]), 2) + 0.0,
                "total": round(float(found.total_order[row][column]), 2) + 0.0,
            }
            for column, name in enumerate(names)
        }
        for row, objective in enumerate(IDS)
    }
