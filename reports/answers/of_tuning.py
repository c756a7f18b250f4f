"""Which settings to take, what of all messages fails under them all the same, and whether another relay fails less.

Its statuses: `take` (a candidate is recommended), `keep` (the present settings), `too few worlds`. Gains on an objective
stand beside the failures of all messages: who fails less among conflicts may still fail half of all messages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from relaysim.reports.answers.answer import Answer, Figure, Group, Line, Table
from relaysim.reports.answers.numbers import share_words
from relaysim.reports.paired import MORE_WORLDS_MAX
from relaysim.reports.summary import percent
from relaysim.reports.tune_words import (
    PRESENT,
    SHORT,
    difference_words,
    grade_sentence,
    recommendation,
    too_few_worlds,
    value_words,
    waits_words,
)
from relaysim.sim.counted import counted

_OF_ALL: Final = ("all_failed", "failures")
"""Failures of all messages, by the first of these that a tuning measures."""

_OF_CONFLICTS: Final = "conflicts failed"
"""The head of failures where those of all messages stand beside them."""

_SIGNS: Final = {
    "open": "≈ not told apart",
    "same": "= the same in every world",
    "unknown": "? too few worlds, or too few that differ, to tell",
}

_MARKS: Final = {"better": " better", "worse": " worse", "open": " ≈", "same": " =", "unknown": " ?"}

Measured = Mapping[str, Mapping[str, Any]]
"""Of one relay by profile: what each measure was."""


def answer_of_tuning(results: Mapping[str, Any]) -> Answer:
    """The answer; a pure function of the results."""
    place = results["recommended"]
    profile = _worst_profile(results)
    status = "take" if place is not None else "too few worlds" if _too_few(results) else "keep"
    return Answer(
        status=status,
        tone="open" if status == "take" else "bad" if status == "too few worlds" else "open",
        title=_title(results, place, profile),
        found=[
            *(_of_all_words(results, place, each) for each in results["profiles"]),
            *_gains(results, place),
            *_not_told_apart(results),
        ],
        advice=_advice(results, place, profile),
        figures=[
            _figure(name, each, found[each][_of_all(found[each])], results)
            for each in results["profiles"]
            for name, found in _relays(results, place)
        ],
        table=_table(results, place),
        notes=_legend(results),
    )


def _relays(results: Mapping[str, Any], place: int | None) -> list[tuple[str, Measured]]:
    """What stands side by side in the sentences: the present settings, the recommended candidate, `drain`."""
    found: list[tuple[str, Measured]] = [(PRESENT, results["present"]["held_out"])]
    if place is not None:
        found.append((f"candidate {place + 1}", results["judged"][place]["by_profile"]))
    if results.get("drain"):
        found.append(("drain", results["drain"]))
    return found


def _too_few(results: Mapping[str, Any]) -> bool:
    return bool(results["judged"]) and too_few_worlds(results)


def _of_all(measures: Mapping[str, Any]) -> str:
    return next(each for each in _OF_ALL if each in measures)


def _all_failed(found: Measured, profile: str) -> float:
    value = found[profile][_of_all(found[profile])]["value"]
    return 0.0 if value is None else float(value)


def _worst_profile(results: Mapping[str, Any]) -> str:
    """The profile under which most messages fail, with what is recommended, or else now."""
    _, found = _relays(results, results["recommended"])[0 if results["recommended"] is None else 1]
    profiles: list[str] = list(results["profiles"])
    return max(profiles, key=lambda profile: _all_failed(found, profile))


def _title(results: Mapping[str, Any], place: int | None, profile: str) -> str:
    relays = _relays(results, place)
    shares = {name: percent(_all_failed(found, profile)) for name, found in relays}
    beside = f"; drain {shares['drain']}" if "drain" in shares else ""
    if place is None:
        why = "too few worlds to judge by" if _too_few(results) else "no candidate is shown to be better"
        return f"Keep the {PRESENT}: {why}; of all messages {shares[PRESENT]} fail under {profile}{beside}"
    waits = waits_words(results["judged"][place])
    named = f"candidate {place + 1}{f' ({waits})' if waits else ''}"
    return (
        f"Best settings: {named}; of all messages {shares[f'candidate {place + 1}']} still fail under {profile} "
        f"(now {shares[PRESENT]}{beside})"
    )


def _of_all_words(results: Mapping[str, Any], place: int | None, profile: str) -> str:
    parts = []
    for name, found in _relays(results, place):
        measured = found[profile][_of_all(found[profile])]
        if "count" in measured:
            parts.append(f"{name} {share_words(measured['count'], measured['among'])}")
        else:
            parts.append(f"{name} {percent(measured['value'])}")
    return f"Failed, of all messages under {profile}: {', '.join(parts)}."


def _gains(results: Mapping[str, Any], place: int | None) -> list[str]:
    if place is None:
        return []
    judged = results["judged"][place]
    lines = []
    for profile, found in judged["by_profile"].items():
        parts = [
            f"{SHORT[each['id']]} {difference_words(each['unit'], found[each['id']]['difference'])}"
            f"{_MARKS[found[each['id']]['verdict']]}"
            for each in results["objectives"]
        ]
        lines.append(f"Against now under {profile}: {', '.join(parts)}.")
    return lines


def _not_told_apart(results: Mapping[str, Any]) -> list[str]:
    """In how many worlds a candidate's failures might be told from the present ones, where the held-out ones do not.

    An interval narrows by the square root of the number of worlds; whether the difference stays what it was is a guess.
    """
    worlds = results["held_out"]["replications"]
    needed = []
    for at, judged in enumerate(results["judged"], 1):
        for profile, by_profile in judged["by_profile"].items():
            found = by_profile.get("failures", {})
            interval, difference = found.get("difference_interval"), found.get("difference")
            if found.get("verdict") != "open" or not interval or not difference:
                continue
            times = ((interval[1] - interval[0]) / 2 / abs(difference)) ** 2
            needed.append((max(times, 1.0), at, profile))
    if not needed or _too_few(results):
        return []
    times, at, profile = min(needed)
    if times > MORE_WORLDS_MAX:
        would = f"not even {MORE_WORLDS_MAX:,} times as many would"
    else:
        unit = int(10 ** max(0, len(str(int(worlds * times))) - 2))
        more = -(-int(worlds * times + 1) // unit) * unit
        would = f"about {more:,} would (--held-out {more})"
    return [
        f"These {counted(worlds, 'world')} do not tell failures of candidate {at} from those now under {profile}; {would}, "
        "if the difference stays what it is."
    ]


def _advice(results: Mapping[str, Any], place: int | None, profile: str) -> list[str]:
    sentences = []
    if place is None:
        sentences.append(recommendation(results))
    elif results.get("drain") and (less := _drain_fails_less(results, place)):
        sentences.append(
            f"Take drain if you can (docs/drain.md): it fails {less}. If it must be these waits, policy.toml has "
            f"candidate {place + 1}, {grade_sentence(results, place)}."
        )
        return sentences
    else:
        sentences.append(f"Take policy.toml, which has candidate {place + 1}: {grade_sentence(results, place)}.")
    if place is None and results.get("drain") and (less := _drain_fails_less(results, None)):
        sentences.append(f"The relay drain fails {less} (docs/drain.md).")
    return sentences


def _drain_fails_less(results: Mapping[str, Any], place: int | None) -> str:
    """Whether `drain` failed less of all messages under every profile, in words; "" if it did not."""
    found = results["present"]["held_out"] if place is None else results["judged"][place]["by_profile"]
    pairs = [
        (results["drain"][profile][_of_all(results["drain"][profile])], found[profile][_of_all(found[profile])])
        for profile in results["profiles"]
    ]
    if any(drain["value"] is None or its["value"] is None or drain["value"] >= its["value"] for drain, its in pairs):
        return ""
    apart = all(
        drain["interval"] and its["interval"] and drain["interval"][1] < its["interval"][0] for drain, its in pairs
    )
    return "less under every profile" if apart else "less in these worlds"


def _figure(name: str, profile: str, measured: Mapping[str, Any], results: Mapping[str, Any]) -> Figure:
    interval = measured["interval"]
    return Figure(
        what="messages that ended in an apology or without any answer",
        who=name,
        where=f"{results['scenario']} under {profile}",
        count=measured.get("count"),
        among=measured.get("among"),
        value=measured["value"],
        interval=None if interval is None else (interval[0], interval[1]),
    )


def _table(results: Mapping[str, Any], place: int | None) -> Table:
    """A group for each profile: now, what is recommended and `drain` first, then the other candidates."""
    columns = [
        (
            each["id"],
            each["unit"],
            _OF_CONFLICTS if each["id"] == "failures" and _is_of_conflicts(results) else SHORT[each["id"]],
        )
        for each in results["objectives"]
    ]
    if _is_of_conflicts(results):
        columns.append(("all_failed", "share", "of all failed"))
    order = sorted(range(len(results["judged"])), key=lambda at: at != place)
    groups = []
    for profile in results["profiles"]:
        lines = [_line("now" + _with_waits(results["present"]), results["present"]["held_out"][profile], columns)]
        candidates = []
        for at in order:
            judged = results["judged"][at]
            name = f"{at + 1}{' ✔' if at == place else ''}{_with_waits(judged)}"
            candidates.append(_line(name, judged["by_profile"][profile], columns))
        drain = [_line("drain", results["drain"][profile], columns)] if results.get("drain") else []
        first = candidates[:1] if place is not None else []
        lines += [*first, *drain, *candidates[len(first) :]]
        groups.append(Group(f"Under {profile}, {_worlds(results)}", tuple(lines)))
    return Table(tuple(groups), ("", *(head for _, _, head in columns)))


def _legend(results: Mapping[str, Any]) -> list[str]:
    """What the heads count, and each sign that stands in the table."""
    by_profile = [found for judged in results["judged"] for found in judged["by_profile"].values()]
    verdicts = {found[each["id"]]["verdict"] for found in by_profile for each in results["objectives"]}
    signs = [words for verdict, words in _SIGNS.items() if verdict in verdicts]
    if _is_of_conflicts(results):
        others = [SHORT[each["id"]] for each in results["objectives"] if each["id"] != "failures"]
        theirs = f", to which {' and '.join(others)} belong{'s' * (len(others) == 1)}" if others else ""
        signs.insert(0, f"Conflicts: messages that met an active run{theirs}")
        if results.get("drain"):
            signs.append("– not measured of drain")
    return [f"{'; '.join(signs)}."] if signs else []


def _is_of_conflicts(results: Mapping[str, Any]) -> bool:
    """Whether the objectives are about messages that met an active run alone, so that failures of all stand beside them.

    Only then it is told how many were never appended; else failures are those of all messages already.
    """
    return {"never_appended", "all_failed"} <= {each["id"] for each in results["beside"]}


def _worlds(results: Mapping[str, Any]) -> str:
    return f"{counted(results['held_out']['replications'], 'world')} that the search never saw"


def _with_waits(entry: Mapping[str, Any]) -> str:
    words = waits_words(entry)
    return f": {words}" if words else ""


def _line(name: str, found: Mapping[str, Any], columns: Sequence[tuple[str, str, str]]) -> Line:
    cells = [name]
    for identifier, unit, _ in columns:
        measured = found.get(identifier)
        cells.append(
            "–"
            if measured is None
            else value_words(unit, measured["value"]) + _MARKS.get(measured.get("verdict", ""), "")
        )
    return Line(tuple(cells))
