"""One line per claim out of many verdicts, and how numbers are written, for the terminal and the page alike.

A claim may be judged in several scenarios. Scenarios of one *variant* (the scenario's `variant` if it names one,
else its backend profile) speak with one voice: the claim is refuted there if any of them refutes it, else inconclusive
if any is, else verified. Variants are never mixed: what holds under one backend and not under another is exactly what
a reader must see, so they stand side by side ("claimed: verified (by construction) / typical: refuted"), unless all of
them say the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from relaysim.reports.claim_kinds import CLAIM_KINDS, kind_named
from relaysim.reports.results import claims_of
from relaysim.sim.counted import counted

#: What the fix claims, in the order in which it is told. Every summary has a row for each.
INCIDENT_CLAIMS = {
    "before-rate": "without the fix, 5-10 % of messages fail at peak",
    "first-retry": "90 % recover on the first retry",
    "second-retry": "9 % recover on the second retry",
    "polite-failure": "1 % fail with the friendly message",
    "success": "more than 99 % succeed",
    "race-wait": "a simple race costs one 2 s wait",
    "stuck-wait": "a run stuck for 5 minutes costs 6 s",
    "persistent-wait": "a persistent failure gives up politely after 14 s, and a new try 30 s later works",
    "transparent": "the customer does not notice",
    "error-target": "errors fall below 0.1 %",
    "log-lines": "each step is visible in the log",
}
VERDICTS = ("refuted", "inconclusive", "verified")
SYMBOLS = {"verified": "✔", "refuted": "✘", "inconclusive": "?", "not judged": "·"}


@dataclass(frozen=True, slots=True)
class Part:
    """What one variant, or several that agree, say about a claim: the verdict, and the scenario that decided it."""

    variants: tuple[str, ...]
    verdict: str
    by_construction: bool
    as_expected: bool
    scenario: Mapping[str, Any]
    claim: Mapping[str, Any]
    scenarios: tuple[str, ...]  # all that gave this verdict
    judged: int  # all that judged the claim here

    @property
    def label(self) -> str:
        return ", ".join(self.variants)

    @property
    def where(self) -> str:
        """The scenario that decided, and how many of those that judged the claim gave the same verdict."""
        name, same = str(self.scenario["scenario"]), len(self.scenarios)
        if self.judged == 1:
            return name
        if same == self.judged:
            return f"{name} (all {same} scenarios say so)"
        return f"{name} ({same} of {self.judged} scenarios {'says' if same == 1 else 'say'} so)"

    @property
    def story(self) -> Mapping[str, Any] | None:
        """The example that says why the claim is not verified, if there is one."""
        examples = self.claim["examples"]
        return examples[0] if examples and self.verdict != "verified" else None


@dataclass(frozen=True, slots=True)
class Row:
    """One claim id: its parts, and every (scenario, claim) behind them. Without parts it was not judged."""

    id: str
    title: str
    parts: tuple[Part, ...] = ()
    entries: tuple[tuple[Mapping[str, Any], Mapping[str, Any]], ...] = field(default=())

    @property
    def text(self) -> str:
        """The combined verdict in words."""
        if not self.parts:
            return "not judged"
        if len(self.parts) == 1:
            return verdict_words(self.parts[0].verdict, self.parts[0].by_construction)
        return " / ".join(f"{part.label}: {verdict_words(part.verdict, part.by_construction)}" for part in self.parts)


def verdict_words(verdict: str, by_construction: bool) -> str:
    return f"{verdict} (by construction)" if by_construction else verdict


def variant_of(scenario: Mapping[str, Any]) -> str:
    """The variant that a scenario speaks for: its `variant`, else its profile's name, else ""."""
    variant = scenario.get("variant")
    if isinstance(variant, str) and variant:
        return variant
    profile = scenario.get("profile")
    return PurePath(profile).stem if isinstance(profile, str) else ""


def summarise(results: Mapping[str, Any], *, ids: Sequence[str] = tuple(INCIDENT_CLAIMS)) -> list[Row]:
    """A row for each of `ids`, judged or not, then for every other claim id in the results, in their order.

    Where only other claims were judged, or a relay of somebody's own, `ids` were not what was asked, and those that were
    not judged have no rows.
    """
    found: dict[str, list[tuple[Mapping[str, Any], Mapping[str, Any]]]] = {identifier: [] for identifier in ids}
    for scenario, claim in claims_of(results):
        found.setdefault(claim["id"], []).append((scenario, claim))
    was_asked = "factory" not in results and any(found[identifier] for identifier in ids)
    if any(found.values()) and not was_asked:
        found = {identifier: entries for identifier, entries in found.items() if entries}
    rows = []
    for identifier, entries in found.items():
        title = INCIDENT_CLAIMS.get(identifier) or (entries[0][1].get("title", "") if entries else "")
        rows.append(Row(identifier, title, tuple(_parts(entries)), tuple(entries)))
    return rows


def _parts(entries: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> list[Part]:
    variants: dict[str, list[tuple[Mapping[str, Any], Mapping[str, Any]]]] = {}
    for scenario, claim in entries:
        variants.setdefault(variant_of(scenario), []).append((scenario, claim))
    parts: dict[tuple[str, bool], list[Part]] = {}
    order: list[Part] = []
    for variant, members in variants.items():
        part = _part((variant,), members)
        parts.setdefault((part.verdict, part.by_construction), []).append(part)
        order.append(part)
    if len(parts) > 1 or len(order) == 1:
        return order
    return [_part(tuple(variants), entries)] if order else []


def _part(variants: tuple[str, ...], entries: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> Part:
    verdict = next(each for each in VERDICTS if any(claim["verdict"] == each for _, claim in entries))
    deciding = [(scenario, claim) for scenario, claim in entries if claim["verdict"] == verdict]
    # A surprise decides before what was expected, and more trials before fewer.
    scenario, claim = min(deciding, key=lambda each: (each[1]["verdict"] == each[1]["expected"], -each[1]["n"]))
    return Part(
        variants=variants,
        verdict=verdict,
        by_construction=all(claim.get("by_construction", False) for _, claim in deciding),
        as_expected=all(claim["verdict"] == claim["expected"] for _, claim in entries),
        scenario=scenario,
        claim=claim,
        scenarios=tuple(dict.fromkeys(str(each["scenario"]) for each, _ in deciding)),
        judged=len(entries),
    )


def _decimals(share: float) -> int:
    edge = min(share, 1 - share)
    return 0 if edge <= 0 else 4 if edge < 0.001 else 3 if edge < 0.01 else 2


def percent(share: float | None) -> str:
    """A share in percent, with more digits the nearer it lies to 0 or 100 %. "none" for None."""
    return "none" if share is None else f"{share * 100:.{_decimals(share)}f} %"


def interval_words(claim: Mapping[str, Any]) -> str:
    """A claim's interval in percent, both ends with the same number of digits; of what never happened its upper end."""
    low, high = claim["interval"]
    kind = kind_named(claim.get("kind"))
    if kind is not None and kind.is_about_occurrence and claim["n"] and not claim["count"]:
        return f"at most {percent(high)}"
    digits = max(_decimals(low), _decimals(high))
    ends = [f"{end * 100:.{digits if 0 < end < 1 else 0}f}" for end in (low, high)]
    return f"{ends[0]} – {ends[1]} %"


def number(value: float) -> str:
    return f"{value:.6g}"


def unit_of(name: str) -> str:
    return " s" if name.endswith("_seconds") else ""


def decided_words(scenario: Mapping[str, Any], claim: Mapping[str, Any]) -> str:
    """After how many replications a claim was decided that was looked at while they came; "" for any other claim."""
    if "looks" not in claim:
        return ""
    most = scenario["sequential"]["maximum"]
    if claim["stopped_at"] is None:
        return f"not decided in {claim['replications']:,} of at most {counted(most, 'replication')}"
    return f"decided at {claim['stopped_at']:,} of at most {counted(most, 'replication')}"


def clustered_words(claim: Mapping[str, Any]) -> str:
    """What it costs that trials of one replication are not independent; "" for a claim that does not ask."""
    if "deff" not in claim or "trials_max" not in claim:
        return ""
    return (
        f"messages of one replication share its faults, so the interval is over replications of at most "
        f"{counted(claim['trials_max'], 'trial')}; those seen scatter like "
        f"{counted(round(claim['n_effective']), 'independent one')} (design effect "
        f"{claim['deff']:.2f})"
    )


def strategy_words(results: Mapping[str, Any]) -> str:
    """What worlds of a strategy of exploration do not show; "" if all worlds are drawn as in production."""
    names = list(dict.fromkeys(each["strategy"] for each in results["scenarios"] if each.get("strategy")))
    if not names:
        return ""
    return (
        f"Worlds were drawn by the strategy {', '.join(names)}, to look for what goes wrong: their rates, waits and "
        "intervals are not those of production."
    )


def breach_words(name: str, judged: Mapping[str, Any]) -> str:
    """A broken promise by what happened, with its code behind; by its name alone in results that have no title."""
    title = judged.get("title")
    return f"{title} ({name})" if title else name


def strata_words(claim: Mapping[str, Any]) -> str:
    """What was seen in each stratum, and how likely the stratum is; "" for a claim that was not judged in strata."""
    parts = [
        f"{each['count']:,} of {each['n']:,} ({percent(each['observed'])}) in a stratum of probability "
        f"{number(each['probability'])}"
        for each in claim.get("strata", ())
    ]
    return "; ".join(parts)


def interval_title(results: Mapping[str, Any]) -> str:
    """What a column of intervals is called. Bands, which may have another confidence, may stand among them."""
    bands = any("sequential" in scenario for scenario in results["scenarios"])
    return "interval or band" if bands else "99 % interval"


def limit_words(claim: Mapping[str, Any]) -> str:
    """What a claim allows."""
    low, high = claim["limit"]
    value = claim.get("value")
    return CLAIM_KINDS[claim["kind"]].words.format(
        low=number(low * 100),
        high=number(high * 100),
        value="" if value is None else number(value),
        unit=unit_of(claim["event"]),
    )


def observed_words(claim: Mapping[str, Any]) -> str:
    """The observed rate of a claim; for `exact`, the share of values that are equal and the values seen. Of a counter that
    matched nothing it says so."""
    if claim.get("nothing_matched") and claim["n"]:
        return f"{percent(claim['observed'])}, nothing matched"
    if claim.get("values"):
        low, high = claim["values"]
        seen = number(low) if low == high else f"{number(low)} – {number(high)}"
        return f"{percent(claim['observed'])} ({seen}{unit_of(claim['event'])})"
    if hit := claim.get("messages_hit"):
        return percent(hit / claim["n"])
    if claim["count"] > claim["n"] > 0:  # one trial may be an occurrence of several kinds of breaches
        return f"{claim['count'] / claim['n']:.2f} each"
    return percent(claim["observed"])


def trials_words(claim: Mapping[str, Any]) -> str:
    """Count and number of trials."""
    return f"{claim['count']:,} / {claim['n']:,}"


def example_words(example: Mapping[str, Any]) -> str:
    """An example's detail as a sentence."""
    detail = example.get("detail", "")
    return str(detail.get("text", "")) if isinstance(detail, Mapping) else str(detail or "")


def exception_words(scenario: Mapping[str, Any], exception: Mapping[str, Any]) -> str:
    """What an exception that is told beside the verdicts was, in how many worlds, and how often where that is more."""
    worlds = f"{exception['replications']:,} of {counted(scenario['replications'], 'world')}"
    often = f", {exception['times']:,} times in all" if exception.get("times", 0) > exception["replications"] else ""
    return f"in {worlds} {exception['what']}{often}{_remedy(exception['text'])}"


def _remedy(text: str) -> str:
    """What there is to know about an exception that says this, beside the line that it came from."""
    if not text.startswith("Timeout reading from "):
        return ""
    return (
        ": redis-py gave up on the reply. Since version 8 its clients do after 5 s by default (`socket_timeout`), also "
        "where a command such as BLPOP is told to wait as long; let it wait for less, or, if the client in production "
        "waits for more, say so in the factory: redis.connection_pool.connection_kwargs['socket_timeout'] = None"
    )
