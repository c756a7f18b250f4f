"""What a run of `verify` found: relays beside each other where they met the same worlds, and the worst refuted claim.

Its statuses: `not deterministic`, `nothing judged`, `refuted`, `inconclusive`, `verified`. Whether a verdict was expected
has no part in it; that is said once, for whoever keeps a gate.

Longer than 400 lines because each branch of one command's answer is here, with its sentences and its table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from relaysim.reports.answers.answer import Answer, Figure, Group, Line, Table, Tone
from relaysim.reports.answers.numbers import claim_words, interval_of, observed_words, share_words
from relaysim.reports.answers.severity import Judged, Totals, may_never_happen, severity, worst_refuted
from relaysim.reports.counters import nothing_matched_words
from relaysim.reports.determinism import is_deterministic, not_deterministic_words, remedy_words
from relaysim.reports.results import claims_of
from relaysim.reports.summary import SYMBOLS, Row, percent, strategy_words, summarise
from relaysim.sim.counted import counted, plural

RELAYS: Final[Mapping[str, str]] = {
    "relaysim.relay:check_then_act": "before the fix",
    "relaysim.relay:cancel_and_retry": "the fix",
    "relaysim.relay:drain": "drain",
}
"""How an answer calls the relays that are judged here."""

_FIX: Final = "relaysim.relay:cancel_and_retry"
_DRAIN: Final = "relaysim.relay:drain"
_PARTLY: Final = "refuted in part"
"""Of a claim that is refuted under one variant and holds under another."""

_HEADS: Final[Mapping[str, tuple[str, Tone]]] = {
    "refuted": ("Refuted", "bad"),
    _PARTLY: ("Refuted in one variant, verified in another", "bad"),
    "inconclusive": ("Not decided", "open"),
    "not judged": ("Not judged", "open"),
    "verified": ("Verified", "good"),
}
_UNMET = "never met"
_OF_FAILURES: Final = frozenset({"failed", "succeeded", "answered", "transparency_breaches"})
"""A claim about one of these events says how many messages may end in an apology or without an answer."""


def answer_of_verify(results: Mapping[str, Any]) -> Answer:
    """The answer; a pure function of the results."""
    if not is_deterministic(results):
        return not_deterministic(results)
    if differing := differing_lanes(results):
        return _lanes_differ(differing)
    claims = list(claims_of(results))
    rows = summarise(results)
    if not claims:
        return Answer(status="nothing judged", tone="open", title="No claim was judged", found=outcomes(results))
    counts = {verdict: sum(claim["verdict"] == verdict for _, claim in claims) for verdict in _HEADS}
    if counts["refuted"]:
        return _refuted(results, rows, claims)
    table = claims_table(rows)
    worlds = worlds_words(results)
    failed = _failed_of_all(results["scenarios"])
    if counts["inconclusive"]:
        return Answer(
            status="inconclusive",
            tone="open",
            title=f"Not decided: {counts['inconclusive']} of {counted(len(claims), 'claim')}; none is refuted by {worlds}",
            found=[*_why_open(claims), *resting_on_nothing(claims), *outcomes(results)],
            advice=more_worlds(claims),
            table=table,
            figures=failed,
            gate=gate_words(results),
        )
    return Answer(
        status="verified",
        tone="good",
        title=_all_hold(claims, worlds),
        found=[*resting_on_nothing(claims), *_loosest(claims), *outcomes(results)],
        advice=_when_all_hold(results),
        table=table,
        figures=failed,
        gate=gate_words(results),
    )


def _all_hold(claims: Sequence[Judged], worlds: str) -> str:
    """The title where no claim is refuted or open; of counters that matched nothing it tells."""
    empty = sum("nothing_matched" in claim for _, claim in claims)
    if len(claims) == 1:
        matched = ", and nothing matched its counter" if empty else ""
        return f"The claim holds in {worlds}{matched}: {claims[0][1].get('title', claims[0][1]['id'])}"
    resting = f"; {empty} {'rests' if empty == 1 else 'rest'} on a counter that matched nothing" if empty else ""
    return f"All {counted(len(claims), 'claim')} hold in {worlds}{resting}"


def resting_on_nothing(claims: Sequence[Judged]) -> list[str]:
    """Of the claims that are decided, those about counters that matched nothing: misspelt, they would look the same."""
    found: dict[str, list[str]] = {}
    for scenario, claim in claims:
        if "nothing_matched" in claim and claim["verdict"] != "inconclusive":
            words = nothing_matched_words(claim["nothing_matched"], counted(claim["replications"], "world"))
            found.setdefault(f"{scenario['scenario']}: {words}", []).append(f"“{claim.get('title', claim['id'])}”")
    return [f"{', '.join(titles)} in {words}" for words, titles in found.items()]


def _when_all_hold(results: Mapping[str, Any]) -> list[str]:
    """What to do where no claim is refuted: failures that none of them counts are named."""
    uncounted = [
        f"{share_words(each['outcomes']['failed'], each['outcomes']['messages'])} in {each['scenario']}"
        for each in results["scenarios"]
        if each.get("outcomes", {}).get("failed")
        and not each.get("strategy")
        and not any(claim["event"] in _OF_FAILURES for claim in each["claims"])
    ]
    if not uncounted:
        return ["Nothing, as far as these claims go; a rarer breach needs more worlds (--replications) or `explore`."]
    more = f", and in {counted(len(uncounted) - 1, 'more scenario')}" if len(uncounted) > 1 else ""
    return [
        f"Judge what no claim counts here: {uncounted[0]}{more} ended in an apology or without an answer. A claim about "
        "`failed` says how many may (docs/scenarios.md); `relaysim run` finds such a message, `relaysim replay` tells of it."
    ]


def not_deterministic(results: Mapping[str, Any]) -> Answer:
    """The answer where a seed gave two worlds: nothing else can be said."""
    first = results["not_deterministic"][0]
    return Answer(
        status="not deterministic",
        tone="bad",
        title="Not deterministic: no verdict here can be trusted",
        found=[not_deterministic_words(results)],
        advice=[remedy_words(results)],
        commands=[str(first["next"])],
    )


def differing_lanes(results: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The scenarios whose first seeds did not leave the same fingerprints in both lanes."""
    return [each for each in results["scenarios"] if not each.get("lane_check", {}).get("equal", True)]


def _lanes_differ(differing: Sequence[Mapping[str, Any]]) -> Answer:
    first = differing[0]
    seed = first["lane_check"]["first_differing_seed"]
    names = ", ".join(str(each["scenario"]) for each in differing)
    return Answer(
        status="not deterministic",
        tone="bad",
        title=f"The lanes differ in {names}: what was counted in lane direct cannot be trusted",
        found=[f"Seed {seed} of {first['scenario']} is another world in lane sdk than in lane direct."],
        advice=["Count in lane sdk until that is mended (--lane sdk), and report the seed."],
    )


def _refuted(results: Mapping[str, Any], rows: Sequence[Row], claims: Sequence[Judged]) -> Answer:
    # What a variant of a scenario breaks is no finding about the scenario itself.
    worst = worst_refuted(each for each in claims if not each[0].get("variant")) or worst_refuted(claims)
    assert worst is not None, "asked for only where a claim is refuted"
    scenario, claim = worst
    sides = _side_by_side(results["scenarios"])
    shown = [row for row in rows if row.parts]
    stands = [_stands(row) for row in shown]
    refuted, partly, open_ones = (stands.count(each) for each in ("refuted", _PARTLY, "inconclusive"))
    named = f"“{claim['title']}” ({claim_words(claim)}, {scenario['scenario']})"
    where = f", in {scenario['scenario']}" if len(results["scenarios"]) > 1 else ""
    title = f"Refuted: “{claim['title']}”: {claim_words(claim)}{where}"
    found, advice = [], []
    if sides:
        title = _compared_title(sides)
        found.append(_compared_words(sides))
        advice += _take(sides)
    else:
        found += outcomes(results)
    undecided = f", {partly} more under one variant only" if partly else ""
    undecided += f", {open_ones} not decided" if open_ones else ""
    found += resting_on_nothing(claims)
    found.append(f"Refuted: {refuted} of {counted(len(shown), 'claim')}{undecided}; the worst: {named}.")
    commands = _replays(claim)
    if sides and (fails := _replay_of(sides[0])):
        advice.append(f"See a message fail under {sides[0].name}:")
        commands = fails
    elif commands:
        advice.append("See the worst one happen:" if sides else "See it happen, then mend what the story shows:")
    return Answer(
        status="refuted",
        tone="bad",
        title=title,
        found=found,
        advice=advice,
        commands=commands,
        table=claims_table(rows),
        figures=[*(side.figure for side in sides), *([] if sides else _failed_of_all(results["scenarios"]))],
        gate=gate_words(results),
    )


def _replays(claim: Mapping[str, Any]) -> list[str]:
    return [str(each["replay"]) for each in claim["examples"][:1] if each.get("replay")]


def _stands(row: Row) -> str:
    """The verdict under which a claim that was judged is shown; of several the worst, unless it holds somewhere too."""
    verdicts = {part.verdict for part in row.parts}
    if verdicts >= {"refuted", "verified"}:
        return _PARTLY
    return next(each for each in _HEADS if each in verdicts)


# Relays in the same worlds


@dataclass(frozen=True, slots=True)
class _Side:
    """A relay in worlds that another relay of these results met too."""

    name: str
    factory: str
    scenario: Mapping[str, Any]

    @property
    def failed(self) -> int:
        return int(self.scenario["outcomes"]["failed"])

    @property
    def messages(self) -> int:
        return int(self.scenario["outcomes"]["messages"])

    @property
    def share(self) -> float:
        return self.failed / self.messages

    @property
    def interval(self) -> tuple[float, float] | None:
        """Of the share of failures, if a claim of the scenario counts it."""
        for claim in self.scenario["claims"]:
            if claim["event"] == "failed" and claim["among"] == "messages" and "strata" not in claim:
                return interval_of(claim)
        return None

    @property
    def figure(self) -> Figure:
        return Figure(
            what="messages that ended in an apology or without any answer",
            who=self.name,
            where=str(self.scenario["scenario"]),
            count=self.failed,
            among=self.messages,
            value=self.share,
            interval=self.interval,
        )


def _side_by_side(scenarios: Sequence[Mapping[str, Any]]) -> list[_Side]:
    """The relays of those scenarios that share their worlds, of the group with most messages; the fix comes first."""
    groups: dict[str, dict[str, _Side]] = {}
    for scenario in scenarios:
        factory, outcomes = scenario.get("factory"), scenario.get("outcomes", {})
        if factory is None or not outcomes.get("messages") or "failed" not in outcomes or scenario.get("obstacles"):
            continue
        # Worlds that are drawn to find breaches, or in strata, have no rates that could be compared.
        if scenario.get("worlds") is None or scenario.get("strategy") or scenario.get("strata"):
            continue
        variant = str(scenario.get("variant", ""))
        name = RELAYS.get(factory, f"`{factory}`") + (f" with {variant}" if variant else "")
        groups.setdefault(scenario["worlds"], {}).setdefault(name, _Side(name, factory, scenario))
    several = [list(group.values()) for group in groups.values() if len({side.factory for side in group.values()}) > 1]
    if not several:
        return []
    chosen = max(several, key=lambda group: sum(side.messages for side in group))
    return sorted(chosen, key=lambda side: (bool(side.scenario.get("variant")), side.factory != _FIX))


def _replay_of(side: _Side) -> list[str]:
    """The line that shows a message fail under this relay: of the claim that says how many may, else of its worst one."""
    refuted = [claim for claim in side.scenario["claims"] if claim["verdict"] == "refuted"]
    counting = ("failed", "succeeded", "answered")
    ordered = sorted(refuted, key=lambda each: (each["event"] in counting, severity(each)), reverse=True)
    return next((found for each in ordered if (found := _replays(each))), [])


def _place(sides: Sequence[_Side]) -> str:
    """What the scenarios of one group are called together: the shortest of their names, as words."""
    names = [str(side.scenario["scenario"]) for side in sides]
    return min(names, key=lambda name: (len(name), name)).replace("_", " ")


def _compared_title(sides: Sequence[_Side]) -> str:
    first, *others = sides
    beside = ", ".join(f"{side.name} {percent(side.share)}" for side in others)
    return f"In {_place(sides)} {first.name} leaves {percent(first.share)} of messages without their answer ({beside})"


def _compared_words(sides: Sequence[_Side]) -> str:
    parts = [f"{side.name} {side.failed:,} of {side.messages:,}{_interval(side)}" for side in sides]
    bounds = ", with 99 % bounds" if any(side.interval for side in sides) else ""
    return f"Ended in an apology or in nothing{bounds}: {'; '.join(parts)}."


def _interval(side: _Side) -> str:
    if side.interval is None:
        return ""
    low, high = side.interval
    return f" ({low * 100:.1f} – {high * 100:.1f} %)"


def _take(sides: Sequence[_Side]) -> list[str]:
    """Which relay to take, if one of them fails less than the first."""
    first = sides[0]
    best = min(sides, key=lambda side: side.share)
    if best.share >= first.share:
        return []
    sure = first.interval is not None and best.interval is not None and best.interval[1] < first.interval[0]
    page = " (docs/drain.md)" if best.factory == _DRAIN else ""
    which = best.name
    where = str(min((str(side.scenario["scenario"]) for side in sides), key=lambda name: (len(name), name)))
    if sure:
        return [f"Take {which} in place of {first.name}{page}: their intervals lie apart."]
    worlds = counted(min(side.scenario["replications"] for side in (first, best)), "world")
    return [
        f"Try {which}{page}: it failed least here, though after {worlds} the intervals still meet; "
        f"relaysim compare {where} tells more, world by world."
    ]


# Without a refuted claim


def _why_open(claims: Sequence[Judged]) -> list[str]:
    found: dict[str, list[str]] = {}
    for scenario, claim in claims:
        if claim["verdict"] == "inconclusive":
            found.setdefault(f"{scenario['scenario']}: {claim['why']}", []).append(
                f"“{claim.get('title', claim['id'])}”"
            )
    return [f"{', '.join(titles)} in {why}." for why, titles in found.items()]


def more_worlds(claims: Sequence[Judged]) -> list[str]:
    """How many more worlds would decide what is open, for each scenario; or that no number of them would."""
    needed: dict[str, tuple[int, int]] = {}
    for scenario, claim in claims:
        if claim["verdict"] == "inconclusive" and claim.get("needed_replications"):
            wanted = (claim["needed_replications"], claim["replications"])
            needed[scenario["scenario"]] = max(needed.get(scenario["scenario"], (0, 0)), wanted)
    lines = [
        f"{max(1, most - had):,} more worlds would do in {name}: --replications {most}."
        for name, (most, had) in needed.items()
    ]
    if any(claim.get("reason") == _UNMET for _, claim in claims if claim["verdict"] == "inconclusive"):
        lines.append("What was never met, more worlds do not show: give it a scenario in which it happens.")
    return lines or ["More worlds would not decide; what is open says why."]


def _loosest(claims: Sequence[Judged]) -> list[str]:
    """Of what never happened, the claim of which least is known: how often it might still happen."""
    never = [(scenario, claim) for scenario, claim in claims if may_never_happen(claim) and claim["n"]]
    if not never:
        return []
    scenario, claim = max(never, key=lambda each: interval_of(each[1])[1])
    bound = f"not more than {percent(interval_of(claim)[1])} at {claim['confidence'] * 100:.4g} % confidence"
    more = claim.get("bound_replications")
    would = (
        f"; {counted(more - claim['replications'], 'more world')} would show not more than 1 %"
        if more and more > claim["replications"]
        else ""
    )
    return [
        f"Least is known of “{claim.get('title', claim['id'])}”: {claim_words(claim)} of {scenario['scenario']}, "
        f"so {bound}{would}."
    ]


def worlds_words(results: Mapping[str, Any]) -> str:
    """How many worlds there were."""
    return counted(sum(scenario["replications"] for scenario in results["scenarios"]), "world")


def outcomes(results: Mapping[str, Any]) -> list[str]:
    """What became of all messages: claims that hold say nothing of those that they do not count."""
    scenarios = [each for each in results["scenarios"] if each.get("outcomes", {}).get("messages")]
    if not scenarios:
        return []
    messages, failed, lost = (
        sum(each["outcomes"].get(name, 0) for each in scenarios) for name in ("messages", "failed", "lost")
    )
    if any(each.get("strategy") for each in scenarios):
        return [strategy_words(results)]  # worlds drawn to break something tell nothing of how often it breaks
    return [
        f"Of all messages {share_words(failed, messages)} ended in an apology or without an answer; "
        f"to {lost:,} nothing ever answered."
    ]


def _failed_of_all(scenarios: Sequence[Mapping[str, Any]]) -> list[Figure]:
    return [
        Figure(
            what="messages that ended in an apology or without any answer",
            who=RELAYS.get(each.get("factory", ""), str(each.get("factory", ""))),
            where=str(each["scenario"]),
            count=each["outcomes"]["failed"],
            among=each["outcomes"]["messages"],
            value=each["outcomes"]["failed"] / each["outcomes"]["messages"],
        )
        for each in scenarios
        if each.get("outcomes", {}).get("messages") and "failed" in each["outcomes"]
    ]


# The table


def claims_table(rows: Sequence[Row]) -> Table:
    """A line for each claim, by its title, under its verdict; what is refuted first, and of that the worst first."""
    lines: dict[str, list[tuple[Any, Line]]] = {}
    totals = Totals.of(scenario for row in rows for scenario, _ in row.entries)
    several = len({scenario["scenario"] for row in rows for scenario, _ in row.entries}) > 1
    for row in rows:
        if not row.parts:
            lines.setdefault("not judged", []).append(((), Line((row.title or row.id, ""))))
            continue
        verdict = _stands(row)
        deciding = "refuted" if verdict == _PARTLY else verdict
        parts = [part for part in row.parts if part.verdict == deciding]
        part = max(parts, key=lambda each: severity(each.claim, totals))
        where = str(part.scenario.get("variant") or part.scenario["scenario"])
        told = " by construction" if part.by_construction and len(row.parts) == 1 else f" ({where})" if several else ""
        felt, distance, trials = severity(part.claim, totals)
        cells = (row.title or row.id, f"{observed_words(part.claim)}{told}")
        lines.setdefault(verdict, []).append(((not felt, -distance, -trials), Line(cells)))
    groups = []
    for verdict, (head, tone) in _HEADS.items():
        if found := lines.get(verdict):
            ordered = tuple(line for _, line in sorted(found, key=lambda each: each[0]))
            among = f" of {sum(bool(row.parts) for row in rows)}"
            if verdict == "not judged":
                among = f" {plural('claim', len(ordered))} of the incident, which other scenarios judge"
            symbol = SYMBOLS["refuted" if verdict == _PARTLY else verdict]
            groups.append(Group(f"{symbol} {head}: {len(ordered)}{among}", ordered, tone))
    return Table(tuple(groups))


def gate_words(results: Mapping[str, Any]) -> str:
    """Whether the verdicts are those that the scenarios expect: one sentence, for gates."""
    claims = list(claims_of(results))
    surprises = [(scenario, claim) for scenario, claim in claims if claim["verdict"] != claim["expected"]]
    if not claims:
        return ""
    if not surprises:
        # Not "passed", which would be read as safe below an answer that says No.
        return f"Gate: {_all(len(claims))} what the scenarios expect; the answer above stays."
    shown = "; ".join(
        f"{claim['id']} in {scenario['scenario']} is {claim['verdict']}, not {claim['expected']}"
        for scenario, claim in surprises[:3]
    )
    more = f"; and {len(surprises) - 3} more" if len(surprises) > 3 else ""
    return f"Gate: {len(surprises)} of {counted(len(claims), 'verdict')} not as expected: {shown}{more}."


def _all(count: int) -> str:
    return "the one verdict is" if count == 1 else f"all {count} verdicts are"
