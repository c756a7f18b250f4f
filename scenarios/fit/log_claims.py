"""The fix's claims as a log tells them, and those of which a log can tell nothing.

A log has no replications. Its conflicts are counted in portions in the order of the log, as clusters: those that stand
together share outages, and the interval is that of the effective number of trials.

What customers saw is in no log. One thing is certain all the same: a run that one worker cancelled, and of which another
worker says that it "ended in cancelled", cost a customer a generic apology for a message that was lost or is covered by
another reply; either refutes that the customer does not notice. Without such lines nothing follows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from relaysim.reports.claims import ClaimSpec, Tally, judge
from relaysim.scenarios.fit.intervals import Amounts
from relaysim.scenarios.fit.reading import FAILED, Reading
from relaysim.scenarios.load import load

JUDGED: Final = {
    "first-retry": "incident",
    "second-retry": "incident",
    "polite-failure": "incident",
    "race-wait": "race",
    "stuck-wait": "stuck_run",
    "success": "peak_hour",
    "error-target": "peak_hour",
    "transparent": "incident",
}
"""The claims that a log may tell something of, and the scenario that states each."""

CANNOT: Final = {
    "before-rate": "a log has the requests that were refused, and not how many messages there were",
    "persistent-wait": "which message is the new try of another one is in no line",
    "log-lines": "a step that was not logged leaves nothing to be read",
}
"""Claims that no log tells, and why."""

_EXACT: Final = {"race-wait": 2, "stuck-wait": 3}
"""At which attempt a message of the claim's kind gets through."""


def judge_log(reading: Reading) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """The entries of the claims that the log tells, as `relaysim.reports.claims.judge` makes them, and
    `{id, title, why}` of the others."""
    judged, untold = [], []
    for name, scenario in JUDGED.items():
        spec = _spec(name, scenario)
        tally, why = _tally(name, spec, reading)
        if tally is None:
            untold.append({"id": name, "title": spec.title, "why": why})
            continue
        entry = judge(spec, tally)
        for key in ("expected", "reason", "as_expected", "needed_replications", "replications"):
            entry.pop(key, None)
        entry["why"] = str(entry["why"]).replace("replications", "portions of the log")
        judged.append(entry)
    titles = _titles()
    untold += [{"id": name, "title": titles[name], "why": why} for name, why in CANNOT.items()]
    return judged, untold


def _spec(name: str, scenario: str) -> ClaimSpec:
    claim = next(each for each in load(scenario, check_relay=False).claims if each.id == name)
    spec = ClaimSpec.from_mapping(claim.model_dump())
    # The log was not made to meet any claim.
    return replace(spec, by_construction=False)


def _titles() -> dict[str, str]:
    from relaysim.reports.summary import INCIDENT_CLAIMS

    return INCIDENT_CLAIMS


def _tally(name: str, spec: ClaimSpec, reading: Reading) -> tuple[Tally | None, str]:
    if name in _EXACT:
        return _waits(spec, reading.waited_events.get(_EXACT[name]))
    if name in ("success", "error-target"):
        return _outcomes(name, reading)
    if name == "transparent":
        return _taken_away(reading)
    endings: dict[str, Callable[[int], bool]] = {
        "first-retry": lambda ending: ending == 2,
        "second-retry": lambda ending: ending == 3,
        "polite-failure": lambda ending: ending == FAILED,
    }
    tally = Tally(portions_of_a_log=True)
    for portion in reading.portions.all():
        tally.add(sum(count for ending, count in portion.items() if endings[name](ending)), portion.total())
    if not tally.n:
        return None, "no message that met an active run has an ending in the log"
    return tally, ""


def _waits(spec: ClaimSpec, amounts: Amounts | None) -> tuple[Tally | None, str]:
    if amounts is None:
        return None, (
            "which waits belong to one message is told by the events recovered alone, and the log has none for this case"
        )
    equal = sum(count for seconds, count in amounts.weights() if seconds == spec.value)
    # Nothing is inferred from these to others, so it does not matter how they stand together.
    tally = Tally.of_single_trials(equal, amounts.total)
    tally.low, tally.high = amounts.low, amounts.high
    return tally, ""


def _outcomes(name: str, reading: Reading) -> tuple[Tally | None, str]:
    wanted = 1 if name == "success" else 0
    tally = Tally(portions_of_a_log=True)
    for portion in reading.outcome_portions.all():
        tally.add(portion[wanted], portion.total())
    if not tally.n:
        return None, "how many messages there were is told by the events outcome alone, and the log has none"
    return tally, ""


def _taken_away(reading: Reading) -> tuple[Tally | None, str]:
    count = reading.taken_away
    if not count:
        return (
            None,
            "what customers saw is in no log, and no line says that a worker's own run was cancelled by another",
        )
    n = max(reading.outcomes.total(), reading.met + reading.cancels_at_check, count)
    return Tally.of_single_trials(count, n), ""


def share(reading: Reading, ending: int) -> dict[str, Any]:
    """Count, number and 99 % interval of one ending, as `relaysim.reports.claims.rate` has them."""
    from relaysim.reports.claims import rate

    tally = Tally(portions_of_a_log=True)
    for portion in reading.portions.all():
        tally.add(portion[ending], portion.total())
    return rate(tally)


def endings(reading: Reading) -> Sequence[int]:
    """Every ending that the log has: attempts in order, and last `FAILED`."""
    found = sorted(reading.recovered)
    return [*found, FAILED] if reading.failed else found
