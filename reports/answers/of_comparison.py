"""Which of the compared policies to take: better or worse than the one that the others are compared with.

What customers feel decides: failures, lost messages, breaches, and how long all of them wait, those without an answer for
ever. Requests and commands are told as what it costs. A policy is `better` if some of these are shown to be less and none to
be more; `worse` the other way round; `mixed` if both; `same` if it did the same in every world; else `open`: not told apart.
The answer's status is the verdict on the policy that it is about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from relaysim.reports.answers.answer import Answer, Figure, Group, Line, Table, Tone
from relaysim.reports.answers.numbers import share_words
from relaysim.reports.compared_verdicts import ComparedVerdict, mark, verdict_of
from relaysim.reports.comparison import (
    MEASURES,
    Direction,
    Measure,
    direction,
    unlike_notes,
    value_words,
)
from relaysim.reports.paired import MORE_WORLDS_MAX
from relaysim.reports.summary import percent
from relaysim.sim.counted import counted

_SHOWN: Final = (
    "failed",
    "lost",
    "transparency_breaches",
    "or_never_p50",
    "or_never_p95",
    "or_never_p99",
    "requests",
    "redis_commands",
)
"""Of a first screen; the percentiles of those who got a reply are left out, since they hide those who got none."""

_LABELS: Final[Mapping[str, str]] = {
    "failed": "failed",
    "lost": "lost",
    "transparency_breaches": "breaches",
    "or_never_p50": "50 % wait",
    "or_never_p95": "95 % wait",
    "or_never_p99": "99 % wait",
    "requests": "requests",
    "redis_commands": "commands",
}
"""What they are called where there is no room for their titles."""
_PER: Final[Mapping[str, str]] = {"per_100": "per 100 messages", "mean": "per message"}
"""What plain numbers are counted for, of the kinds of measures that are neither shares nor seconds."""
_SIGNS: Final[Mapping[str, str]] = {"better": "+", "worse": "-"}

_TONES: Final[Mapping[str, Tone]] = {"better": "good", "worse": "bad", "mixed": "open", "open": "open", "same": "open"}
_ORDER: Final = ("better", "mixed", "open", "same", "worse")


def answer_of_comparison(results: Mapping[str, Any]) -> Answer:
    """The answer; a pure function of the results."""
    against = results["against"]
    policies = {each["policy"]: each for each in results["policies"]}
    verdicts = {each["policy"]: verdict_of(each) for each in results["differences"]}
    differences = {each["policy"]: each for each in results["differences"]}
    chosen = min(
        verdicts,
        key=lambda name: (*_rank(differences[name]), _share(policies[name]), list(verdicts).index(name)),
    )
    verdict = verdicts[chosen]
    return Answer(
        status=verdict.word,
        tone=_TONES[verdict.word],
        title=_title(chosen, against, policies, differences[chosen])
        + _others_that_fail_less(chosen, policies, differences)
        if verdict.word == "better" or _fails_less(differences[chosen]) or len(verdicts) == 1
        else _none_better(against, policies, verdicts),
        found=[
            *_unlike(policies),
            f"{against}: {_failures(policies[against])}.",
            *(_policy_words(name, policies, differences[name]) for name in verdicts),
        ],
        advice=_advice(results, chosen, against),
        commands=[_worse_side(differences[chosen], against)[1]] if differences[chosen]["example"] else [],
        figures=[_figure(each, results) for each in results["policies"]],
        table=_table(results),
        notes=[BREACHES_WORDS, *(f"! {note}" for note in unlike_notes(results))],
    )


def _unlike(policies: Mapping[str, Any]) -> list[str]:
    """That a policy ran without settings that others had, so that what is compared is not the policies alone."""
    without = [name for name, policy in policies.items() if policy["left_out"]]
    if not without:
        return []
    return [f"Unequal conditions: {', '.join(without)} ran without settings of the others (last line)."]


def _rank(difference: Mapping[str, Any]) -> tuple[bool, int]:
    """Where a policy stands among others: those that are shown to fail less come first, whatever else is worse under them.

    One under which more messages are lost has only turned apologies into nothing, and does not come first.
    """
    return not _fails_less(difference), _ORDER.index(verdict_of(difference).word)


def _fails_less(difference: Mapping[str, Any]) -> bool:
    measures = difference["measures"]
    return direction(measures["failed"]) == "less" and direction(measures["lost"]) != "more"


def _share(policy: Mapping[str, Any]) -> float:
    value = policy["measures"]["failed"]["value"]
    return 0.0 if value is None else float(value)


def _failures(policy: Mapping[str, Any]) -> str:
    counts = policy["counts"]
    return f"{share_words(counts['failed'], counts['messages'])} failed, {counts['lost']:,} of them got nothing" + (
        f"; {counts['breached_messages']:,} met a breach" if _breaks_more(policy) else ""
    )


def _breaks_more(policy: Mapping[str, Any]) -> bool:
    """Whether messages met something wrong that did not fail: two answers, an order that is not theirs, a stranger's."""
    counts = policy["counts"]
    return bool(counts.get("breached_messages", 0) > counts["failed"])


def _not_safe(name: str, policies: Mapping[str, Any]) -> str:
    """That the policy to keep or to take is not safe either, however the others compare; "" where nothing was seen."""
    if not _breaks_more(policies[name]):
        return ""
    counts = policies[name]["counts"]
    hit = share_words(counts["breached_messages"], counts["messages"])
    return f" It is not safe: {hit} met a breach; relaysim verify shows which."


def _title(name: str, against: str, policies: Mapping[str, Any], difference: Mapping[str, Any]) -> str:
    """Failed messages first, wherever a policy is better in some and worse in some; then what is better or worse besides."""
    verdict = verdict_of(difference)
    shares = [percent(_share(policies[each])) for each in (name, against)]
    told = direction(difference["measures"]["failed"])
    if told in ("less", "more"):
        failing = f"{shares[0]} of messages fail, not {shares[1]}"
    elif told == "same":
        failing = f"as many messages fail in every world ({shares[0]})"
    else:
        failing = f"how many messages fail is not told apart ({shares[0]}, {shares[1]})"
    # What is felt besides: without it a verdict beside failures that are not told apart would have no reason.
    if told in ("less", "more") or verdict.word in ("open", "same"):
        others = ""
    else:
        others = f" in {_few(verdict.better or verdict.worse)};"
    if verdict.word == "mixed":
        return _mixed_title(name, against, shares, told, verdict)
    words = {
        "better": f"{name} is better than {against}{others or ':'} {failing}",
        "worse": f"{name} is worse than {against}{others or ':'} {failing}",
        "open": f"{name} and {against} are not told apart: {failing}",
        "same": f"{name} does the same as {against} in every world: {shares[0]} of messages fail",
    }
    return words[verdict.word]


def _mixed_title(name: str, against: str, shares: Sequence[str], told: Direction, verdict: ComparedVerdict) -> str:
    better, worse = ([each for each in measures if each.id != "failed"] for measures in (verdict.better, verdict.worse))
    if told == "less":
        return f"{name} fails {shares[0]} of messages, {against} {shares[1]}; but {name} is worse in {_few(worse)}"
    if told == "more":
        return (
            f"{name} fails {shares[0]} of messages, {against} only {shares[1]}; but {name} is better in {_few(better)}"
        )
    failing = (
        f"As many messages fail under {name} as under {against} ({shares[0]})"
        if told == "same"
        else f"How many messages fail is not told apart ({name} {shares[0]}, {against} {shares[1]})"
    )
    return f"{failing}; {name} is better in {_few(better)}, worse in {_few(worse)}"


def _others_that_fail_less(
    chosen: str, policies: Mapping[str, Any], differences: Mapping[str, Mapping[str, Any]]
) -> str:
    """The policy that fails least, where another one is recommended: its failures are not hidden by what it costs."""
    least = min(
        (name for name in differences if _fails_less(differences[name])),
        key=lambda name: _share(policies[name]),
        default=chosen,
    )
    if _share(policies[least]) >= _share(policies[chosen]):
        return ""
    return f"; fewest fail under {least}: {percent(_share(policies[least]))}"


BREACHES_WORDS: Final = "Breaches: lost, twice, out of order, a stranger's, ... (relaysim docs promises)."
"""What the line of breaches counts."""

_STANDS: Final = {
    "better": "better",
    "worse": "worse",
    "mixed": "better in some, worse in some",
    "open": "not told apart",
    "same": "the same in every world",
}


def _none_better(against: str, policies: Mapping[str, Any], verdicts: Mapping[str, ComparedVerdict]) -> str:
    others = ", ".join(
        f"{name} ({percent(_share(policies[name]))}) is {_STANDS[verdict.word]}" for name, verdict in verdicts.items()
    )
    decided = all(verdict.word in ("worse", "same") for verdict in verdicts.values())
    words = f"Keep {against}" if decided else f"None is shown to be better than {against}"
    counts = policies[against]["counts"]
    besides = ""
    if _breaks_more(policies[against]):
        besides = f" and {counts['breached_messages']:,} of {counts['messages']:,} meet a breach"
    return f"{words}, under which {percent(_share(policies[against]))} of messages fail{besides}: {others}"


def _few(measures: Sequence[Measure]) -> str:
    names = [each.short for each in measures[:2]]
    more = f" and {len(measures) - 2} more" if len(measures) > 2 else ""
    return ", ".join(names) + more


def _policy_words(name: str, policies: Mapping[str, Any], difference: Mapping[str, Any]) -> str:
    verdict = verdict_of(difference)
    if verdict.word in ("better", "worse") and direction(difference["measures"]["failed"]) not in ("less", "more"):
        told = _few(verdict.better if verdict.word == "better" else verdict.worse)
        return f"{name}: {_failures(policies[name])}: no fewer or more for sure, {verdict.word} in {told}."
    if verdict.word == "mixed":
        both = f"better in {_few(verdict.better)}, worse in {_few(verdict.worse)}"
        return f"{name}: {_failures(policies[name])}: {both}."
    return f"{name}: {_failures(policies[name])}: {_STANDS[verdict.word]}."


def _advice(results: Mapping[str, Any], chosen: str, against: str) -> list[str]:
    difference = next(each for each in results["differences"] if each["policy"] == chosen)
    verdict = verdict_of(difference)
    cost = [
        f"{value_words(each, policy['measures'][each.id]['value'])} {each.short} per message"
        for policy in results["policies"]
        if policy["policy"] == chosen
        for each in MEASURES
        if each.role == "cost"
    ]
    more = _more_worlds(results, chosen, difference)
    failures_open = direction(difference["measures"]["failed"]) == "unknown"
    see = (
        f"Where they lie farthest apart, {_worse_side(difference, against)[0]} fails:" if difference["example"] else ""
    )
    sentences = {
        "better": f"Take {chosen} here ({', '.join(cost)})."
        if not failures_open
        else f"Take {chosen} for what is decided: {_few(verdict.better)} ({', '.join(cost)}). Not decided: failures; "
        f"{more}.",
        "worse": f"Keep {against}.",
        "mixed": f"Weigh what {chosen} gains against what it loses; {more}.",
        "open": f"Keep {against} until something is shown; {more}.",
        "same": f"Keep {against}; here nothing tells them apart.",
    }
    policies = {each["policy"]: each for each in results["policies"]}
    advised = {"better": chosen, "mixed": ""}.get(verdict.word, against)
    unsafe = _not_safe(advised, policies) if advised else ""
    return [sentences[verdict.word] + unsafe, *([see] if see else [])]


def _more_worlds(results: Mapping[str, Any], chosen: str, difference: Mapping[str, Any]) -> str:
    """What more worlds would tell. Where failures are not told apart: how many would do, and why so many messages do not."""
    failed = difference["measures"]["failed"]
    if direction(failed) != "unknown" or failed["interval"] is None:
        return f"more worlds would tell more (--replications {results['replications'] * 4})"
    messages = next(each["counts"]["messages"] for each in results["policies"] if each["policy"] == chosen)
    worlds = results["replications"]
    why = (
        f"messages of one world hang together, so {counted(worlds, 'world')} count{'s' * (worlds == 1)}, "
        f"not {counted(messages, 'message')}"
    )
    needed = failed.get("worlds_needed")
    if needed is None:
        return f"of failures not even {MORE_WORLDS_MAX:,} times as many worlds like these would tell more: {why}"
    return f"of failures some {needed:,} worlds would tell more (--replications {needed}): {why}"


def _worse_side(difference: Mapping[str, Any], against: str) -> tuple[str, str]:
    """Of the world in which two policies lie farthest apart: the one under which more messages failed, and its replay."""
    example = difference["example"]
    failed, failed_against = example["failed"]
    side = 0 if failed > failed_against else 1
    return (difference["policy"], against)[side], example["replay"][side]


def _figure(policy: Mapping[str, Any], results: Mapping[str, Any]) -> Figure:
    measured = policy["measures"]["failed"]
    return Figure(
        what="messages that ended in an apology or without any answer",
        who=policy["policy"],
        where=results["scenario"],
        count=policy["counts"]["failed"],
        among=policy["counts"]["messages"],
        value=measured["value"],
        interval=None if measured["interval"] is None else (measured["interval"][0], measured["interval"][1]),
    )


def _table(results: Mapping[str, Any]) -> Table:
    """The measures that decide, and what each policy costs: values, and whether they are better or worse."""
    differences = {each["policy"]: each["measures"] for each in results["differences"]}
    lines: list[Line] = []
    narrow: dict[str, list[Line]] = {}
    for measure in sorted((each for each in MEASURES if each.id in _SHOWN), key=lambda each: _SHOWN.index(each.id)):
        cells, narrow_cells = [measure.title], [_LABELS[measure.id]]
        for policy in results["policies"]:
            value = value_words(measure, policy["measures"][measure.id]["value"])
            found = differences.get(policy["policy"])
            told = "" if found is None else mark(measure, found[measure.id])
            cells.append(f"{value} {told}".rstrip())
            narrow_cells.append(f"{value} {_SIGNS.get(told, told)}".rstrip())
        lines.append(Line(tuple(cells)))
        narrow.setdefault(_PER.get(measure.kind, ""), []).append(Line(tuple(narrow_cells)))
    names = [each["policy"] for each in results["policies"]]
    worlds = f"the same {counted(results['replications'], 'world')}"
    legend = f"{worlds}; + better, - worse, = the same, ≈ not told apart"
    return Table(
        (Group("", tuple(lines)),),
        (f"{worlds}; ≈ not told apart", *names),
        Table(tuple(Group(unit or legend, tuple(found)) for unit, found in narrow.items()), ("", *names)),
    )
