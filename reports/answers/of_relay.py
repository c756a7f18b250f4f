"""Whether somebody's own relay is safe: what its customers lose, first.

Its statuses: `not deterministic`, `not judged`, `unsafe`, `not shown`, `safe`. A relay is unsafe if a claim is refuted, and
if messages were left without anything, or customers noticed something else, in a scenario that has no claim about it. It is
not shown to be safe if a claim is open, if worlds are others under another hash seed, and if it took long to acknowledge a
webhook in a scenario that repeats webhooks and names no provider, whose deadline would tell when.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

from relaysim.reports.answers.answer import Answer, Figure, Group, Line, Table
from relaysim.reports.answers.numbers import among_words, claim_words, interval_of, observed_words, share_words
from relaysim.reports.answers.of_verify import (
    gate_words,
    more_worlds,
    not_deterministic,
    outcomes,
    resting_on_nothing,
    worlds_words,
)
from relaysim.reports.answers.outside_notes import from_outside
from relaysim.reports.answers.severity import MEANINGS, Judged, Totals, may_never_happen, severity, worst_refuted
from relaysim.reports.answers.untried import untried, untried_words, what_else
from relaysim.reports.answers.wrongs import answered_strangers, count_words, counts_of, wrong_in
from relaysim.reports.claims import TRANSPARENCY_PARTS
from relaysim.reports.determinism import is_deterministic
from relaysim.reports.results import claims_of
from relaysim.reports.summary import SYMBOLS, percent
from relaysim.sim.counted import counted

Safety = Literal["not deterministic", "not judged", "unsafe", "not shown", "safe"]

_OF_LOSS: Final = frozenset({"transparency_breaches", "failed", "succeeded", "answered", *TRANSPARENCY_PARTS})
"""A claim about one of these events judges messages that are lost, whatever it allows of them."""


_NOTICED: Final = ("wrong_conversation", "duplicate_reply", "out_of_order", "apology_despite_cover")
"""What else customers notice, the gravest first."""


def _verdict(claim: Mapping[str, Any]) -> str:
    return str(claim["verdict"])


def safety_of(results: Mapping[str, Any], verdict: Callable[[Mapping[str, Any]], str] = _verdict) -> Safety:
    """What is known of the relay's safety; the exit status follows from it.

    Args:
        verdict: what each claim counts as, for who asks of something else than its safety.
    """
    if not is_deterministic(results):
        return "not deterministic"
    verdicts = [verdict(claim) for _, claim in claims_of(results)]
    if "refuted" in verdicts or unjudged_losses(results) or unjudged_breaches(results):
        return "unsafe"
    if any(scenario.get("obstacles") for scenario in results["scenarios"]):
        return "not judged"
    if _unjudged_deadlines(results):
        return "not shown"
    if results.get("hash_order"):
        return "not shown"  # processes of production have a hash seed each
    return "safe" if verdicts and all(each == "verified" for each in verdicts) else "not shown"


def _unjudged_deadlines(results: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The scenarios that repeat webhooks, and in which one was acknowledged late without a provider to judge it."""
    return [scenario for scenario in results["scenarios"] if scenario.get("unjudged_deadline")]


def unjudged_losses(results: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The scenarios in which messages were left without anything, and that have no claim that would judge it."""
    return [
        scenario
        for scenario in results["scenarios"]
        if scenario.get("outcomes", {}).get("lost")
        and not scenario.get("obstacles")
        and not any(claim["event"] in _OF_LOSS for claim in scenario["claims"])
    ]


def unjudged_breaches(results: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], str]]:
    """Each scenario in which customers noticed something that none of its claims would judge, with the gravest of it."""
    found = []
    for scenario in results["scenarios"]:
        judged = {claim["event"] for claim in scenario["claims"]}
        if scenario.get("obstacles") or "transparency_breaches" in judged:
            continue
        counts = counts_of(scenario)
        if name := next((each for each in _NOTICED if counts.get(each) and each not in judged), ""):
            found.append((scenario, name))
    return found


def _unjudged(results: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Each scenario in which customers met something that no claim would judge; first those whose messages were lost."""
    return [*unjudged_losses(results), *(scenario for scenario, _ in unjudged_breaches(results))]


def answer_of_relay(results: Mapping[str, Any]) -> Answer:
    """The answer on somebody's own relay, which an option or the scenarios name; a pure function of the results."""
    answer = _answer(results)
    # Whoever wrote down that something is known to be false keeps a gate; whether that passes is another question.
    expects = any(claim.get("expected", "verified") != "verified" for _, claim in claims_of(results))
    if not expects or not is_deterministic(results):
        return answer
    if unjudged := _unjudged(results):
        names = ", ".join(dict.fromkeys(str(each["scenario"]) for each in unjudged))
        return replace(answer, gate=f"Gate: not passed; no claim expects what customers meet in {names}.")
    return replace(answer, gate=gate_words(results))


def _answer(results: Mapping[str, Any]) -> Answer:
    safety = safety_of(results)
    several = len({scenario.get("factory") for scenario in results["scenarios"]}) > 1
    speed = results.get("outside", {}).get("speed", 1.0)
    at_speed = "" if speed == 1.0 else f" at speed {speed:g}"
    question = f"Is {'each of ' if several else ''}{results['factory']} safe{at_speed}?"
    if safety == "not deterministic":
        unknown = not_deterministic(results)
        return Answer(
            status=safety,
            tone="bad",
            title=f"{question} That cannot be said: the same seed gave two worlds",
            found=unknown.found,
            advice=unknown.advice,
            commands=unknown.commands,
        )
    return {"unsafe": _unsafe, "not judged": _not_judged, "not shown": _not_shown, "safe": _safe}[safety](
        results, question
    )


def _unsafe(results: Mapping[str, Any], question: str) -> Answer:
    claims = list(claims_of(results))
    worst = worst_refuted(claims)
    lost, noticed = unjudged_losses(results), unjudged_breaches(results)
    unjudged = _unjudged(results)
    # What customers feel comes first, whether or not a claim is about it.
    leads = bool(unjudged) and (worst is None or not severity(worst[1])[0])
    scenario = unjudged[0] if leads or worst is None else worst[0]
    strangers = answered_strangers(results)
    if strangers is not None:
        # Nothing is graver than what somebody else gets to read, however many messages lack an answer elsewhere.
        scenario, leads = strangers, True
        worst = worst_refuted(each for each in claims if each[0] is strangers) or worst
    wrong = wrong_in(scenario)
    if (
        worst is not None
        and not leads
        and not (wrong and worst[1]["event"] in (*MEANINGS, "transparency_breaches", "failed"))
    ):
        first = f"“{worst[1]['title']}” is false: {claim_words(worst[1])}"
    else:
        first = "; ".join(wrong[: 1 if strangers is None else 2]) or "messages were left without anything"
    found = []
    # The one that the title is about is never among the sentences that there is no room for.
    for each in sorted(results["scenarios"], key=lambda each: each is not scenario):
        if told := _told(each, [claim for other, claim in claims if other is each and claim["verdict"] == "refuted"]):
            found.append(told)
    found += resting_on_nothing(claims)
    found += [
        f"{each['scenario']} has no claim about lost messages, and {share_words(*_lost(each))} got nothing."
        for each in lost
    ]
    found += [
        f"{each['scenario']} has no claim about what customers notice: {count_words(each, name)}."
        for each, name in noticed
    ]
    commands: list[str] = []
    if worst is not None:
        commands = [str(each["replay"]) for each in worst[1]["examples"][:1] if each.get("replay")]
    named = f" (“{worst[1]['title']}”)" if worst is not None else ""
    # In real time the same seed is the same customers, and what happens between them is the machine's.
    is_same_again = "outside" not in results or results["outside"].get("lockstep", False)
    again = "happens again by this line" if is_same_again else "happened in a world that this line plays again"
    return Answer(
        status="unsafe",
        tone="bad",
        title=f"{question} No: {first} (in {scenario['scenario']})",
        found=found,
        advice=[f"Do not take it to customers. The worst{named} {again}; mend what the story shows:"]
        if commands
        else ["Do not take it to customers."],
        notes=_untold(results),
        commands=commands,
        table=_table(claims),
        figures=_figures(results),
        details=results.get("details", ()),
    )


def _untold(results: Mapping[str, Any]) -> list[str]:
    """What a relay may have waited for that nothing in these worlds does, the first time that it is met."""
    texts = [
        f"! {scenario['scenario']}: {each['text']}."
        for scenario in results["scenarios"]
        for each in scenario.get("obstacles", ())
        if each["kind"] == "unheard"
    ]
    return [*texts[:1], *from_outside(results)]


def _not_judged(results: Mapping[str, Any], question: str) -> Answer:
    obstacles = [
        (str(scenario["scenario"]), str(each["text"]))
        for scenario in results["scenarios"]
        for each in scenario.get("obstacles", ())
    ]
    by_text: dict[str, list[str]] = {}
    for name, text in obstacles:
        by_text.setdefault(text, []).append(name)
    return Answer(
        status="not judged",
        tone="open",
        title=f"{question} That is not shown: something kept it from running as it does",
        found=[f"In {', '.join(names)}: {text}." for text, names in by_text.items()],
        advice=["Put that right first; nothing else that was counted says anything of the relay."],
        table=_table(list(claims_of(results))),
        figures=_figures(results),
        notes=from_outside(results),
        details=results.get("details", ()),
    )


def _not_shown(results: Mapping[str, Any], question: str) -> Answer:
    claims = list(claims_of(results))
    unknown = [each for each in claims if each[1]["verdict"] == "inconclusive"]
    why: dict[str, list[str]] = {}
    for scenario, claim in unknown:
        why.setdefault(f"{scenario['scenario']}: {claim['why']}", []).append(f"“{claim['title']}”")
    what = f"{len(unknown)} of {counted(len(claims), 'claim')} are open" if unknown else "no claim judged it"
    if len(unknown) == 1:
        what = f"1 of {counted(len(claims), 'claim')} is open"
    late = _unjudged_deadlines(results)
    by_hash_seed = bool(results.get("hash_order"))
    if late and not unknown:
        what = "no provider's deadline was judged"
    if by_hash_seed and not unknown:
        what = "all this holds under one hash seed alone"
    advice = more_worlds(claims) if unknown or not (late or by_hash_seed) else []
    if by_hash_seed:
        advice = [
            *advice,
            "Processes of production have a hash seed each: put what comes out of a set in order, take no key from hash().",
        ]
    if late:
        advice = [
            *advice,
            "Judge it with --provider: a provider delivers a webhook again that is not acknowledged in time.",
        ]
    return Answer(
        status="not shown",
        tone="open",
        title=f"{question} That is not shown by {worlds_words(results)}: nothing refutes it, but {what}",
        found=[
            *outcomes(results),
            *(f"{', '.join(titles)} in {text}." for text, titles in why.items()),
            *resting_on_nothing(claims),
            *(
                f"{each['scenario']} repeats webhooks, and a `handle` took {each['longest_handling']:.3g} s."
                for each in late
            ),
        ],
        advice=advice,
        table=_table(claims),
        figures=_figures(results),
        notes=from_outside(results),
        details=results.get("details", ()),
    )


def _safe(results: Mapping[str, Any], question: str) -> Answer:
    claims = list(claims_of(results))
    scenario, loosest = max(claims, key=lambda each: _bound(each[1]))
    bound = _bound(loosest)
    at_most = f": a claim breaks in at most {percent(bound)} of {among_words(loosest['among'])}" if bound else ""
    not_tried = untried(results)
    advice, commands = what_else(results, not_tried)
    return Answer(
        status="safe",
        tone="good",
        title=f"{question} Yes, as far as {worlds_words(results)} can show{at_most}",
        found=[
            *untried_words(not_tried),
            *resting_on_nothing(claims),
            *outcomes(results),
            f"Least is known of “{loosest['title']}”: {claim_words(loosest)} of {scenario['scenario']}, so not more than "
            f"{percent(bound)} at {loosest['confidence'] * 100:.4g} % confidence.",
        ],
        advice=advice,
        commands=commands,
        table=_table(claims),
        figures=_figures(results),
        notes=from_outside(results),
        details=results.get("details", ()),
    )


def _bound(claim: Mapping[str, Any]) -> float:
    return interval_of(claim)[1] if may_never_happen(claim) else 0.0


def _lost(scenario: Mapping[str, Any]) -> tuple[int, int]:
    return scenario["outcomes"]["lost"], scenario["outcomes"]["messages"]


def _told(scenario: Mapping[str, Any], refuted: Sequence[Mapping[str, Any]]) -> str:
    if not refuted:
        return ""
    worst = max(refuted, key=severity)
    more = f" and {len(refuted) - 1} more" if len(refuted) > 1 else ""
    messages = counted(counts_of(scenario).get("messages", 0), "message")
    wrong = wrong_in(scenario)
    told = f"among {messages}: {', '.join(wrong)}" if wrong else claim_words(worst)
    return f"In {scenario['scenario']}, “{worst['title']}”{more}: {told}."


def _figures(results: Mapping[str, Any]) -> list[Figure]:
    return [
        Figure(
            what="messages without an answer",
            who=str(each.get("factory", results["factory"]) if "outside" not in results else results["factory"]),
            where=str(each["scenario"]),
            count=each["outcomes"].get("lost", 0),
            among=each["outcomes"]["messages"],
            value=each["outcomes"].get("lost", 0) / each["outcomes"]["messages"],
        )
        for each in results["scenarios"]
        if each.get("outcomes", {}).get("messages") and not each.get("obstacles")
    ]


def _table(claims: Sequence[Judged]) -> Table:
    """Claims by their titles; where several scenarios judged one, the worst of them decides."""
    groups = []
    totals = Totals.of(scenario for scenario, _ in claims)
    left = list(dict.fromkeys(claim["id"] for _, claim in claims))
    total = len(left)
    for verdict, head in (("refuted", "False"), ("inconclusive", "Not shown"), ("verified", "True, as far as seen")):
        found = []
        for identifier in list(left):
            same = [each for each in claims if each[1]["id"] == identifier and each[1]["verdict"] == verdict]
            if not same:
                continue
            left.remove(identifier)
            scenario, claim = max(same, key=lambda each: severity(each[1], totals))
            judged = sum(each["id"] == identifier for _, each in claims)
            where = f" in {scenario['scenario']}" if judged > 1 and verdict != "verified" else ""
            found.append((severity(claim, totals), Line((claim["title"], f"{observed_words(claim)}{where}"))))
        found.sort(key=lambda each: each[0], reverse=True)
        if found:
            tone = {"refuted": "bad", "inconclusive": "open", "verified": "good"}[verdict]
            title = f"{SYMBOLS[verdict]} {head}: {len(found)} of {counted(total, 'claim')}"
            groups.append(Group(title, tuple(line for _, line in found), tone))  # type: ignore[arg-type]
    return Table(tuple(groups))
