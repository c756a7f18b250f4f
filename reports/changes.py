"""What differs between two runs: which problems are new, which are resolved, which go on, and which nobody knows of.

A problem is a refuted claim; a promise of an invariant that was broken; messages lost where no claim judges it; something
that kept a relay from running; a seed that gave two worlds. What a scenario expects is left out of it: it says what a gate
should do, not how customers fare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relaysim.reports.answers.numbers import claim_words, share_words
from relaysim.reports.answers.of_relay import unjudged_breaches, unjudged_losses
from relaysim.reports.answers.wrongs import count_words
from relaysim.reports.determinism import is_deterministic, parting_words
from relaysim.reports.exit_codes import of_own_relays
from relaysim.reports.results import ResultsError, claims_of, read_results
from relaysim.sim.counted import counted


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in one run.

    Attributes:
        scenario: where.
        what: the claim's id, the invariant's name, or a word for what no claim judges: the same in every run.
        said: what was seen of it, as a sentence without a full stop.
        replay: the line that shows it again; "" if there is none.
    """

    scenario: str
    what: str
    said: str
    replay: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What makes it the same problem in two runs."""
        return self.scenario, self.what


@dataclass(frozen=True, slots=True)
class Changes:
    """What two runs differ in.

    Attributes:
        new: problems that the later run has and the earlier one has not.
        resolved: problems of the earlier run whose absence the later one shows.
        ongoing: problems of both, as the later run has them.
        unknown: problems of the earlier run that the later one does not judge, or leaves open, and why.
        notes: what makes the two hard to compare.
    """

    new: Sequence[Problem] = ()
    resolved: Sequence[Problem] = ()
    ongoing: Sequence[Problem] = ()
    unknown: Sequence[tuple[Problem, str]] = ()
    notes: Sequence[str] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "new": [_plain(each) for each in self.new],
            "resolved": [_plain(each) for each in self.resolved],
            "ongoing": [_plain(each) for each in self.ongoing],
            "unknown": [{**_plain(each), "why": why} for each, why in self.unknown],
            "notes": list(self.notes),
        }


def _plain(problem: Problem) -> dict[str, str]:
    return {
        "scenario": problem.scenario,
        "what": problem.what,
        "said": problem.said,
        "replay": problem.replay,
    }


def is_judged(results: Mapping[str, Any]) -> bool:
    """Whether these are results of `verify`, which have problems; other commands answer other questions."""
    return results.get("kind") is None


def problems_of(results: Mapping[str, Any]) -> list[Problem]:
    """The problems of a run of `verify`, those that keep it from being judged first; none of another command's results."""
    if not is_judged(results):
        return []
    found = [
        Problem(str(parting["scenario"]), "not deterministic", parting_words(parting), str(parting.get("next", "")))
        for parting in results.get("not_deterministic", ())
    ]
    for scenario in results["scenarios"]:
        found += [
            Problem(str(scenario["scenario"]), f"kept from running: {each['text']}", str(each["text"]))
            for each in scenario.get("obstacles", ())
        ]
    for scenario, claim in claims_of(results):
        if claim["verdict"] == "refuted":
            said = f"“{claim['title']}” is false: {claim_words(claim)}"
            found.append(Problem(str(scenario["scenario"]), str(claim["id"]), said, _first_replay(claim)))
    found += [
        Problem(
            str(scenario["scenario"]),
            "lost",
            f"{share_words(scenario['outcomes']['lost'], scenario['outcomes']['messages'])} messages got nothing",
        )
        for scenario in unjudged_losses(results)
    ]
    found += [
        Problem(str(scenario["scenario"]), "noticed", f"{count_words(scenario, name)}, and no claim is about that")
        for scenario, name in unjudged_breaches(of_own_relays(results))
    ]
    for scenario in results["scenarios"]:
        found += [
            Problem(
                str(scenario["scenario"]),
                str(name),
                f"{each['title']}: {counted(each['breaches'], 'time')} ({name})"
                if each.get("title")
                else f"{name} was broken {counted(each['breaches'], 'time')}",
                _first_replay(each),
            )
            for name, each in scenario.get("invariants", {}).items()
            if each["breaches"]
        ]
    return found


def _first_replay(judged: Mapping[str, Any]) -> str:
    return next((str(each["replay"]) for each in judged.get("examples", ()) if each.get("replay")), "")


def changes_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> Changes:
    """What the later run says of the problems of the earlier one, and which it adds."""
    earlier = {each.key: each for each in problems_of(before)}
    later = {each.key: each for each in problems_of(after)}
    resolved, unknown = [], []
    for key, problem in earlier.items():
        if key in later:
            continue
        why = _unknown(after, problem)
        if why:
            unknown.append((problem, why))
        else:
            resolved.append(problem)
    return Changes(
        new=[each for key, each in later.items() if key not in earlier],
        resolved=resolved,
        ongoing=[each for key, each in later.items() if key in earlier],
        unknown=unknown,
        notes=_notes(before, after),
    )


def changes_since(previous: Path, results: Mapping[str, Any]) -> Changes | None:
    """The changes since the results in a file; None if there are none, none that can be read, or another command's."""
    try:
        before = read_results(previous)
    except (OSError, ResultsError):
        return None
    return changes_between(before, results) if is_judged(before) else None


def _unknown(results: Mapping[str, Any], problem: Problem) -> str:
    """Why a run that does not have a problem does not show that it is gone; "" if it does."""
    scenario = next((each for each in results["scenarios"] if each["scenario"] == problem.scenario), None)
    if scenario is None:
        return f"{problem.scenario} was not run"
    if not is_deterministic(results):
        return "a seed gave two worlds, so no verdict can be trusted"
    if problem.what == "not deterministic":
        return ""
    if scenario.get("obstacles"):
        return "something kept the relay from running"
    claim = next((each for each in scenario.get("claims", ()) if each["id"] == problem.what), None)
    if claim is not None:
        return "" if claim["verdict"] == "verified" else f"{claim['verdict']} now: {claim['why']}"
    invariant = scenario.get("invariants", {}).get(problem.what)
    if invariant is not None:
        return "" if invariant.get("checked", 1) else "its circumstance never arose"
    if problem.what == "lost" or problem.what.startswith("kept from running: "):
        return ""
    return f"{problem.scenario} does not judge it any more"


def _notes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    notes = []
    if before.get("factory") != after.get("factory"):
        notes.append(f"Another relay: {_relay(before)} before, {_relay(after)} now.")
    earlier = {each["scenario"]: each for each in before["scenarios"]}
    for scenario in after["scenarios"] if is_judged(after) and is_judged(before) else ():
        other = earlier.get(scenario["scenario"])
        if other is None:
            continue
        if other.get("hash") != scenario.get("hash") and before.get("factory") == after.get(
            "factory"
        ):  # which it holds
            notes.append(f"{scenario['scenario']}: its file or settings changed, so its worlds are others.")
        if other.get("root_seed") != scenario.get("root_seed"):
            notes.append(f"{scenario['scenario']}: other seeds.")
        worlds = [each.get("replications") for each in (other, scenario)]
        if worlds[0] != worlds[1]:
            notes.append(
                f"{scenario['scenario']}: {worlds[0]:,} worlds before, {worlds[1]:,} now; what is rare shows in many."
            )
    return notes


def _relay(results: Mapping[str, Any]) -> str:
    return str(results.get("factory") or "the scenarios' own")


def changes_title(changes: Changes) -> str:
    """The changes as one sentence without a full stop."""
    parts = [
        f"{len(found)} {word}"
        for found, word in ((changes.new, "new"), (changes.resolved, "resolved"), (changes.ongoing, "ongoing"))
    ]
    open_now = f", {len(changes.unknown)} not known any more" if changes.unknown else ""
    return f"Problems: {', '.join(parts)}{open_now}"
