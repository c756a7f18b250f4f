"""The front that the search found, beside the one that the closed form computes without a world.

Each checks the other. Where a candidate's worlds and arithmetic differ by more than chance, one of them is wrong, or the
worlds have something that arithmetic leaves out. Where arithmetic knows settings that beat all that was found, the search
was too short.

Arithmetic knows messages that are never appended, and none that fail in another way; so `never_appended` stands in the
place of `failures` throughout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from relaysim.relay import RetrySettings
from relaysim.reports.statistics import rounded
from relaysim.scenarios.tune.closed_form import Backend, Expected, expected, front
from relaysim.scenarios.tune.objectives import IDS, means
from relaysim.scenarios.tune.space import grid

COMPARED: Mapping[str, str] = {"failures": "never_appended", "added_delay": "added_delay", "api_calls": "api_calls"}
"""What each objective is compared by."""


def computed(settings: RetrySettings, backends: Mapping[str, Backend], ids: Sequence[str]) -> dict[str, list[float]]:
    """Those objectives by the closed form, for each profile."""
    return {profile: _values(expected(settings, backend), ids) for profile, backend in backends.items()}


def _values(value: Expected, ids: Sequence[str]) -> list[float]:
    known = dict(zip(IDS, value.as_tuple(), strict=True))
    return [known[each] for each in ids]


def agreement(
    found: Sequence[tuple[int, RetrySettings]],
    present: RetrySettings,
    backends: Mapping[str, Backend],
    ids: Sequence[str],
) -> dict[str, Any]:
    """What `results.json` has of the closed form: its front, and where the found front lies by it.

    Args:
        found: number and settings of each trial on the front that the search found.
        present: the settings with which all are compared.
        backends: by profile, which count alike.
        ids: the objectives that were searched.

    Returns:
        A document with

        compared   per objective, by what it is compared
        grid       how many settings were computed
        front      settings and values of those among them which no other beats; without those that append less than the
                   present settings, as the search has them aside for the promises that they break
        present    the present settings' values
        found      number and values of each of `found`, and whether it appends less than the present settings
        off_front  by how much the worst of `found` could be better in every objective at once, as a share of the present
                   values: 0 if none is beaten so. Those that append less are left out: the front has none such
        uncovered  by how much `found` would have to be better in every objective for each of the front to have one among
                   them that is as good, as a share of the present values (the additive epsilon indicator)
    """

    def all_objectives(settings: RetrySettings) -> dict[str, float]:
        return dict(zip(IDS, means(computed(settings, backends, IDS)), strict=True))

    def values_of(all_of: Mapping[str, float]) -> tuple[float, ...]:
        return tuple(all_of[each] for each in ids)

    at_present = all_objectives(present)
    now, limit = values_of(at_present), at_present["failures"]
    of_grid = ((settings, all_objectives(settings)) for settings in grid())
    best = front([(settings, values_of(each)) for settings, each in of_grid if each["failures"] <= limit])
    of_found = [(number, all_objectives(settings)) for number, settings in found]
    found_values = [(number, values_of(each)) for number, each in of_found]
    fails_more = {number for number, each in of_found if each["failures"] > limit}
    return {
        "compared": {each: COMPARED[each] for each in ids},
        "grid": len(grid()),
        "front": [
            {"settings": _shown(settings), "values": [rounded(each) for each in values]} for settings, values in best
        ],
        "present": [rounded(each) for each in now],
        "found": [
            {"number": number, "values": [rounded(each) for each in values], "fails_more": number in fails_more}
            for number, values in found_values
        ],
        "off_front": rounded(
            max(
                (_beaten(values, best, now) for number, values in found_values if number not in fails_more), default=0.0
            )
        ),
        "uncovered": rounded(max((_uncovered(values, found_values, now) for _, values in best), default=0.0)),
    }


def _shown(settings: RetrySettings) -> dict[str, Any]:
    return {
        "attempts": settings.attempts,
        "waits": [rounded(wait) for wait in settings.planned_waits],
        "cancels": settings.cancels,
    }


def _shares(one: Sequence[float], other: Sequence[float], now: Sequence[float]) -> list[float]:
    """By how much one is larger than the other, in each objective, as a share of the present value."""
    return [
        (value - other_value) / now_value if now_value else 0.0
        for value, other_value, now_value in zip(one, other, now, strict=True)
    ]


def _beaten(values: Sequence[float], best: Sequence[tuple[Any, Sequence[float]]], now: Sequence[float]) -> float:
    return max(0.0, max((min(_shares(values, other, now)) for _, other in best), default=0.0))


def _uncovered(values: Sequence[float], found: Sequence[tuple[int, Sequence[float]]], now: Sequence[float]) -> float:
    return max(0.0, min((max(_shares(other, values, now)) for _, other in found), default=1.0))
