"""Claims: what is claimed, what replications showed, and the verdict.

`ClaimSpec` is the claim as a scenario states it, `measure` reads one replication for it, `Tally` adds replications up
(in any order, in any number of processes), and `judge` turns the tally into the claim's entry in `results.json`.

Three verdicts:

========  =========================================  ========================================
kind      verified                                   refuted
========  =========================================  ========================================
between   whole interval within target +- margin     whole interval outside
below     upper bound below the limit                lower bound at or above it
above     lower bound above the limit                upper bound at or below it
never     no occurrence in enough replications       one occurrence
absent    no occurrence in enough replications       nothing: with an occurrence it is inconclusive
exact     enough, and each value equals `value`      one value that differs
========  =========================================  ========================================

Enough are the replications with a trial if by their number what the claim denies happens in fewer than half of all, at the
claim's confidence: 7 at 99 %. Of a scenario whose replications are one world by construction, one is enough.

Everything else is *inconclusive*, and so is a claim without a single trial: what was never met was not tested. Of a claim
that says where it applies (`where`), replications in which that never arose are no trials; an occurrence of what must never
happen counts all the same.
`between` is judged on a two-sided interval at confidence 1 - alpha; the others have one-sided bounds, each at
confidence 1 - alpha. Alpha is 1 % times the claim's `alpha_share`.

Where each replication has one trial at most, intervals are Clopper and Pearson's. Trials that share a replication share its
outages too, and how they stand together is not estimated, since an outage that nobody has seen shows in no estimate: the
interval is then that of `relaysim.reports.betting`, which holds for any distribution over replications.

Longer than 400 lines because a claim's kinds, their tallies and their verdicts are one table of cases; splitting it would
part each kind from its rule.
"""

from __future__ import annotations

import difflib
import math
import re
from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, NamedTuple, get_args

from relaysim.reports import betting, statistics
from relaysim.reports.claim_kinds import CLAIM_KINDS, ClaimKind, Kind, Numbers, kind_named
from relaysim.reports.results import replay_of
from relaysim.reports.statistics import Clustering, rounded
from relaysim.sim.counted import counted

Verdict = Literal["verified", "refuted", "inconclusive"]

#: The share of wrong verdicts that one family of claims may have.
ALPHA = 0.01
#: How many examples a tally keeps: those of the smallest seeds.
EXAMPLES_MAX = 5
#: `among` of a claim whose trials are whole replications; the event then counts once in each that has it.
REPLICATIONS = "replications"
#: Where nobody knows how many trials a replication can have, none is taken to have more than this many times the trials of
#: the largest that was seen: a customer who was let down tries again, so those with failures may well be larger. If none
#: had more than one, a replication is taken to be one trial.
LARGER_UNSEEN = 2
#: What did not happen counts as what never happens only if it surely happens in a smaller share of replications than this.
RARE_SHARE = 0.5
#: The `reason` of a claim that more replications like these would verify.
TOO_FEW = "too few replications"
NO_ANSWER = "no answer to measure"

LATE = "late"
"""The event of claims about answers that come in time; who got none was not answered in time, and is no trial of it."""
#: If more replications than this would be needed, no number is named.
NEEDED_MAX = 10**9
#: A bound that excludes a limit lies this far beyond it, for want of a better number.
_BEYOND = 1e-9
_ONE_PERCENT = 0.01
"""A bound of which people say that something hardly happens."""
SUM_OF_BREACHES = "transparency_breaches"
"""The event that adds up breaches of several kinds: one message may count for more than one."""
#: What `transparency_breaches` adds up, in the order in which its examples are looked for.
TRANSPARENCY_PARTS = (
    "lost",
    "wrong_conversation",
    "duplicate_reply",
    "out_of_order",
    "apology_despite_cover",
    "answered_but_apologised",
    "breach_S12",
    "breach_S13",
    "breach_S14",
    "breach_S15",
)


_SERIES_UP_TO = re.compile(r"([a-z_]+) *<= *(\d+(?:\.\d+)?)")


class SeriesUpTo(NamedTuple):
    """An event that counts the values of a series from 0 up to a bound, in the series' unit: `reply_seconds <= 20`."""

    series: str
    bound: float

    @classmethod
    def of(cls, event: str) -> SeriesUpTo | None:
        """The event, if it is one of these."""
        found = _SERIES_UP_TO.fullmatch(event)
        return None if found is None else cls(found[1], float(found[2]))


_COUNTER_BOUND = re.compile(r"([a-z][a-z0-9_]*) *(<=|>) *(\d+)")


class CounterBound(NamedTuple):
    """An event that counts the messages with more of a counter than a bound (`model_calls > 3`), or with no more than that
    (`model_calls <= 3`)."""

    counter: str
    is_over: bool
    bound: int

    @classmethod
    def of(cls, event: str) -> CounterBound | None:
        """The event, if it is one of these; a series up to a bound has the same form."""
        found = _COUNTER_BOUND.fullmatch(event)
        return None if found is None else cls(found[1], found[2] == ">", int(found[3]))

    def messages(self, per_message: Sequence[int]) -> int:
        """How many messages there are, of how often each one had it."""
        return sum((times > self.bound) == self.is_over for times in per_message)


def happened(observation: Mapping[str, Any], event: str) -> int:
    """How often an event happened in a replication; 0 for what it does not count."""
    bound = CounterBound.of(event)
    if bound is not None and bound.counter in observation.get("counters", {}):
        return bound.messages(observation["counters"][bound.counter]["per_message"])
    return int(observation["counts"].get(event, 0))


def detail_name(event: str) -> str:
    """Under which name an observation's `details` have an event's cases: of a counter's bound those of the counter."""
    bound = CounterBound.of(event)
    return event if bound is None else bound.counter


class UnknownEventError(ValueError):
    """A claim names an event that no replication counts. Reading it as zero would verify any claim of "never"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimSpec:
    """A claim about one event.

    `event` names a count of the observation, a series with a bound (`SeriesUpTo`) or, for `exact`, a series.
    `among` names the count of trials;
    `"replications"` (the default) makes each replication one trial. Rates (`target`, `margin`, `limit`) lie in 0 to 1;
    `value` has the series' own unit (seconds for waits). `expect` and `reason` say which verdict is expected and why.
    `by_construction` marks a claim that the scenario's own numbers were chosen to meet. `trials_max` is how many trials a
    replication can have at most, if that is known. `of_one_world` says that all replications are one world. `where` names a
    count that is 0 where what the claim is about never arose; "" if it is about every replication.

    Raises ValueError for a kind without its numbers, or with numbers out of
    range.
    """

    id: str
    title: str
    kind: Kind
    event: str
    among: str = REPLICATIONS
    target: float | None = None
    margin: float | None = None
    limit: float | None = None
    value: float | None = None
    alpha_share: float = 1.0
    expect: Verdict = "verified"
    reason: str = ""
    by_construction: bool = False
    trials_max: int | None = None
    of_one_world: bool = False
    where: str = ""

    def __post_init__(self) -> None:
        rules = kind_named(self.kind)
        if rules is None:
            raise ValueError(f"claim {self.id!r}: kind must be one of {', '.join(CLAIM_KINDS)}, not {self.kind!r}")
        if self.expect not in get_args(Verdict):
            raise ValueError(
                f"claim {self.id!r}: expect must be one of {', '.join(get_args(Verdict))}, not {self.expect!r}"
            )
        if not 0 < self.alpha_share <= 1:
            raise ValueError(f"claim {self.id!r}: alpha_share must be above 0 and at most 1, not {self.alpha_share!r}")
        for name in rules.needs:
            number = getattr(self, name)
            if number is None:
                raise ValueError(f"claim {self.id!r}: kind {self.kind!r} needs {name}")
            if not math.isfinite(number) or (name != "value" and not 0 <= number <= 1):
                raise ValueError(f"claim {self.id!r}: {name} must lie between 0 and 1, not {number!r}")

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> ClaimSpec:
        """The claim as a table of a scenario file has it. Keys that are None or unknown here are left out."""
        known = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in mapping.items() if name in known and value is not None})

    @property
    def rules(self) -> ClaimKind:
        """What its kind says."""
        return CLAIM_KINDS[self.kind]

    @property
    def alpha(self) -> float:
        """The claim's own share of alpha."""
        return ALPHA * self.alpha_share

    @property
    def limits(self) -> tuple[float, float]:
        """The rates that the claim allows, both ends. For `exact`, a rate is the share of values that are equal."""
        numbers = Numbers(target=self.target, margin=self.margin, limit=self.limit, value=self.value)
        low, high = self.rules.allowed(numbers)
        return rounded(low), rounded(high)


@dataclass(slots=True)
class Tally:
    """What replications showed about one claim, as a multiset, so that it can be merged in any order.

    `worlds` says how many replications had so many events among so many trials, by (events, trials). `low` and `high` are
    the extremes of the values of a series. `examples` are the offending replications with the smallest seeds.

    `portions_of_a_log` says that these are no replications, but portions of one record of what happened. How independent
    they are nobody knows, so their intervals are those of the effective number of trials, as far as the portions show it.
    """

    worlds: dict[tuple[int, int], int] = field(default_factory=dict)
    low: float | None = None
    high: float | None = None
    examples: list[dict[str, Any]] = field(default_factory=list)
    portions_of_a_log: bool = False

    @classmethod
    def of_single_trials(cls, count: int, n: int) -> Tally:
        """`count` events among `n` trials, each in a replication of its own."""
        worlds = {(1, 1): count, (0, 1): n - count}
        return cls({kind: times for kind, times in worlds.items() if times})

    @property
    def count(self) -> int:
        """All events."""
        return sum(events * times for (events, _), times in self.worlds.items())

    @property
    def n(self) -> int:
        """All trials."""
        return sum(trials * times for (_, trials), times in self.worlds.items())

    @property
    def replications(self) -> int:
        """All replications, also those without a trial."""
        return sum(self.worlds.values())

    @property
    def with_trials(self) -> int:
        """The replications that had a trial at least."""
        return sum(times for (_, trials), times in self.worlds.items() if trials)

    @property
    def trials_max(self) -> int:
        """The most trials that one replication had."""
        return max((trials for _, trials in self.worlds), default=0)

    def add(
        self, count: int, n: int, example: Mapping[str, Any] | None = None, *, values: Sequence[float] = ()
    ) -> None:
        """Add one replication: `count` events among `n` trials, and an example `{seed, fingerprint, detail}` if it
        offends. `values` are the values of its series. Raises ValueError for negative numbers."""
        if count < 0 or n < 0:
            raise ValueError(f"counts cannot be negative: {count} of {n}")
        self.worlds[count, n] = self.worlds.get((count, n), 0) + 1
        if values:
            self.low = min(values) if self.low is None else min(self.low, *values)
            self.high = max(values) if self.high is None else max(self.high, *values)
        if example is not None:
            self._keep(example)

    def observe(self, spec: ClaimSpec, observation: Mapping[str, Any]) -> bool:
        """Measure one observation for the claim and add it. True if the replication offends."""
        count, n, offending, detail = measure(spec, observation)
        example = None
        if offending:
            example = {
                "seed": int(observation["seed"]),
                "fingerprint": str(observation.get("fingerprint", "")),
                "detail": detail,
            }
        self.add(count, n, example, values=_series(spec, observation) if n and spec.rules.reads_series else ())
        return offending

    def merge(self, other: Tally) -> Tally:
        """Add another tally of other replications to this one, and return this one."""
        for kind, times in other.worlds.items():
            self.worlds[kind] = self.worlds.get(kind, 0) + times
        for name, choose in (("low", min), ("high", max)):
            known = [each for each in (getattr(self, name), getattr(other, name)) if each is not None]
            setattr(self, name, choose(known) if known else None)
        for example in other.examples:
            self._keep(example)
        return self

    def _keep(self, example: Mapping[str, Any]) -> None:
        if len(self.examples) == EXAMPLES_MAX and example["seed"] >= self.examples[-1]["seed"]:
            return
        insort(self.examples, dict(example), key=_seed)
        del self.examples[EXAMPLES_MAX:]

    def to_dict(self) -> dict[str, Any]:
        """The tally as plain data, fit for JSON: its worlds as (events, trials, how many replications), sorted."""
        return {**asdict(self), "worlds": [[*kind, self.worlds[kind]] for kind in sorted(self.worlds)]}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Tally:
        """The tally that `to_dict` gave; what is missing is nothing."""
        tally = cls(
            low=plain.get("low"), high=plain.get("high"), portions_of_a_log=plain.get("portions_of_a_log", False)
        )
        tally.worlds = {(events, trials): times for events, trials, times in plain.get("worlds", ())}
        tally.examples = sorted((dict(each) for each in plain.get("examples", ())), key=_seed)[:EXAMPLES_MAX]
        return tally


def _seed(example: Mapping[str, Any]) -> int:
    return int(example["seed"])


def measure(spec: ClaimSpec, observation: Mapping[str, Any]) -> tuple[int, int, bool, dict[str, Any]]:
    """One replication's share in a claim: (count, n, offending, detail).

    `offending` says whether the replication is an example of what the claim denies:

    - never, absent: the event happened; exact: a value differs;
    - above: a trial without the event; below: the event happened;
    - between: for events named `recovered_at_...`, a message that recovered at no attempt (recovering at
      another attempt is what such claims expect of the rest); for any other event, that it happened.

    `detail` has a sentence `text` and, where the observation names them, the facts behind it; empty if nothing offends.
    Where the count that the claim's `where` names is 0, there is neither event nor trial, unless an occurrence refutes.
    Raises UnknownEventError for a count that the observation does not have.
    """
    measured = _measure(spec, observation)
    if spec.where and not _count(spec, observation, spec.where):
        _, _, offending, _ = measured
        if not (offending and spec.rules.is_about_occurrence):
            return 0, 0, False, {}
    return measured


def _measure(spec: ClaimSpec, observation: Mapping[str, Any]) -> tuple[int, int, bool, dict[str, Any]]:
    if spec.rules.reads_series:
        values = _series(spec, observation)
        differing = [value for value in values if value != spec.value]
        if not differing:
            return len(values), len(values), False, {}
        message = f"{spec.event} was {_number(differing[0])}, not {_number(spec.value)}"
        return len(values) - len(differing), len(values), True, _detail(observation, (spec.event,), message)
    happened = _count(spec, observation, spec.event)
    if spec.among == REPLICATIONS:
        count, n = min(happened, 1), 1
    else:
        count, n = happened, _count(spec, observation, spec.among)
    if spec.event == LATE:
        n = min(n, _ended(observation, n))
    if count > n and not spec.rules.is_about_occurrence:
        raise ValueError(f"claim {spec.id!r}: {count} times {spec.event} among only {n} of {spec.among}")
    if spec.rules.denies_absence:
        message = f"{_words(spec.event)}: {count} of {n} ({_words(spec.among)}){_slowest(spec, observation)}"
        names: tuple[str, ...] = ("failed", "lost")
        if detail_name(spec.event) in observation.get("counters", {}):
            names = (detail_name(spec.event),)
        return count, n, count < n, _detail(observation, names, message) if count < n else {}
    if spec.kind == "between" and spec.event.startswith("recovered_at_"):
        counts = observation["counts"]
        recovered = sum(counts[name] for name in sorted(counts) if name.startswith("recovered_at_"))
        message = f"recovered at no attempt: {n - recovered} of {n} ({_words(spec.among)})"
        offends = recovered < n
        failures = ("friendly_failure", "failed", "generic_failure")
        return count, n, offends, _detail(observation, failures, message) if offends else {}
    message = f"{_words(spec.event)}: {happened}"
    parts = TRANSPARENCY_PARTS if spec.event == "transparency_breaches" else ()
    names = (detail_name(spec.event), *parts)
    return count, n, count > 0, _detail(observation, names, message) if count else {}


def _series(spec: ClaimSpec, observation: Mapping[str, Any]) -> list[float]:
    # A series that is missing is one without values: the claim is then inconclusive, never verified.
    return list(observation.get("series", {}).get(spec.event, ()))


def _slowest(spec: ClaimSpec, observation: Mapping[str, Any]) -> str:
    """What an example of a series' bound says besides: by how much it was missed."""
    up_to = SeriesUpTo.of(spec.event)
    values = observation.get("series", {}).get(up_to.series, ()) if up_to is not None else ()
    largest = max(values, default=0.0)
    return f"; the largest was {largest:.3g}" if up_to is not None and largest > up_to.bound else ""


def _count(spec: ClaimSpec, observation: Mapping[str, Any], name: str) -> int:
    bound = CounterBound.of(name)
    if bound is not None and bound.counter in observation.get("counters", {}):
        return happened(observation, name)
    up_to = SeriesUpTo.of(name)
    if up_to is not None and up_to.series in observation.get("series", {}):
        return sum(0 <= value <= up_to.bound for value in observation["series"][up_to.series])
    counts = observation["counts"]
    if name not in counts:
        near = difflib.get_close_matches(name, sorted(counts), n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise UnknownEventError(f"claim {spec.id!r} names {name!r}, which no replication counts{hint}")
    return int(counts[name])


def _detail(observation: Mapping[str, Any], names: Sequence[str], otherwise: str) -> dict[str, Any]:
    details = observation.get("details", {})
    for name in names:
        for detail in details.get(name, ()):
            return {"text": otherwise, **detail}
    return {"text": otherwise}


def _ended(observation: Mapping[str, Any], among: int) -> int:
    """Messages that got an answer or an apology: of others no time could be too long. `among` if nobody counted them."""
    counts = observation["counts"]
    if not counts.keys() >= {"answered", "covered"}:
        return among
    apologised = counts.get("friendly_failure", 0) + counts.get("generic_failure", 0)
    return int(counts["answered"] + counts["covered"] + apologised - counts.get("apology_despite_cover", 0))


def _words(name: str) -> str:
    return name.replace("_", " ")


def _number(value: float | None) -> str:
    return f"{value:.9g}"


def clustering(tally: Tally, alpha: float = ALPHA) -> Clustering:
    """How much the tally's trials tell, as far as these replications show. Raises ValueError without trials."""
    met = {kind: times for kind, times in tally.worlds.items() if kind[1]}
    return statistics.design_effect(
        sum_cc=sum(events * events * times for (events, _), times in met.items()),
        sum_cn=sum(events * trials * times for (events, trials), times in met.items()),
        sum_nn=sum(trials * trials * times for (_, trials), times in met.items()),
        count=tally.count,
        n=tally.n,
        replications=sum(met.values()),
        alpha=alpha,
    )


def largest_world(tally: Tally, trials_max: int | None) -> int:
    """How many trials a replication is taken to have at most: `trials_max`, or what is known of others' size."""
    return LARGER_UNSEEN * tally.trials_max if trials_max is None else max(trials_max, tally.trials_max)


def _single(tally: Tally, trials_max: int | None) -> bool:
    """Whether each replication is one trial at most: none had more, and nothing says that one could."""
    return tally.trials_max <= 1 and (trials_max is None or trials_max <= 1)


def rate(
    tally: Tally, *, alpha: float = ALPHA, one_sided: bool = False, trials_max: int | None = None
) -> dict[str, Any]:
    """The observed rate and its interval: `{count, n, observed, interval}`.

    If replications have several trials, `trials_max` (the number that the interval takes them to have at most),
    `n_effective` and `deff` too. The last two say how the trials that were seen stand together; nothing rests on them,
    except for portions of a log.

    `one_sided` gives two one-sided bounds, each at confidence 1 - alpha, in place of a two-sided interval. `trials_max` is
    how many trials a replication can have at most; None if that is not known, see `LARGER_UNSEEN`. Without trials
    `observed` is None and the interval is all of 0 to 1.
    """
    count, n = tally.count, tally.n
    entry: dict[str, Any] = {"count": count, "n": n, "observed": None, "interval": [0.0, 1.0]}
    if n == 0:
        return entry
    entry["observed"] = min(1.0, count / n)  # what must never happen may happen more often than there are trials
    alpha_side = alpha if one_sided else alpha / 2
    if _single(tally, trials_max):
        # Only an event that must never happen may happen more often than there are trials; its rate is then 1.
        low, high = statistics.clopper_pearson(min(count, n), n, 2 * alpha_side)
    else:
        deff = 1.0
        if count <= n:
            spread = clustering(tally, alpha)
            entry |= {"n_effective": rounded(spread.n_effective), "deff": rounded(spread.deff)}
            deff = spread.deff
        if tally.portions_of_a_log:
            low, high = statistics.clopper_pearson(min(count, n) / deff, n / deff, 2 * alpha_side)
        else:
            entry["trials_max"] = largest_world(tally, trials_max)
            worlds = betting.Worlds.counted(tally.worlds, entry["trials_max"])
            low, high = betting.bounds(worlds, alpha_side, planned=tally.replications)
    entry["interval"] = [rounded(low), rounded(high)]
    return entry


def decide(spec: ClaimSpec, low: float, high: float) -> Verdict:
    """The verdict on an interval, for the kinds that are about a rate."""
    floor, ceiling = spec.limits
    if spec.rules.holds(low, high, floor, ceiling):
        return "verified"
    return "refuted" if spec.rules.fails(low, high, floor, ceiling) else "inconclusive"


def needed_words(spec: ClaimSpec, tally: Tally) -> dict[str, Any]:
    """How many trials would decide an undecided claim if the rates stay, and in how many replications.

    `needed`, `needed_replications` and the sentence `why`; only the last if no number would do.
    """
    if _single(tally, spec.trials_max) or tally.portions_of_a_log:
        trials = _single_trials_needed(spec, tally.count / tally.n)
        if trials is not None and tally.trials_max > 1:
            trials = math.ceil(trials * clustering(tally, spec.alpha).deff)
        replications = trials and math.ceil(trials * tally.replications / tally.n)
    else:
        replications = replications_needed(
            spec, tally, alpha=spec.alpha / spec.rules.sides, trials_max=largest_world(tally, spec.trials_max)
        )
        trials = replications and math.ceil(replications * tally.n / tally.replications)
    if trials is None or replications is None:
        return {"why": "the observed rate lies on the limit, and no number of trials would decide"}
    among = "" if trials == replications else f" ({counted(replications, 'replication')})"
    message = (
        f"the interval crosses the limit; about {counted(trials, 'trial')}{among} would decide, should the rate stay"
    )
    return {"needed": trials, "needed_replications": replications, "why": message}


def _single_trials_needed(spec: ClaimSpec, observed: float) -> int | None:
    alpha = spec.alpha if spec.rules.sides == 2 else 2 * spec.alpha

    def decides(count: float, n: float) -> bool:
        low, high = statistics.clopper_pearson(count, n, alpha)
        return decide(spec, rounded(low), rounded(high)) != "inconclusive"

    return statistics.trials_to_decide(decides, observed)


def replications_needed(
    spec: ClaimSpec, tally: Tally, *, alpha: float, trials_max: int, planned: float | None = None
) -> int | None:
    """How many replications like those that were seen would decide; more than there were, None if no number would.

    Args:
        spec: a claim with a rate.
        tally: what was seen.
        alpha: of each bound.
        trials_max: the most trials that a replication can have.
        planned: see `relaysim.reports.betting.lower_bound`; None for the number itself.
    """
    worlds, (floor, ceiling) = betting.Worlds.counted(tally.worlds, trials_max), spec.limits
    above = [betting.growth(worlds, limit, alpha) for limit in (floor, ceiling)]
    below = [betting.growth(worlds.without_the_event, 1 - limit, alpha) for limit in (floor, ceiling)]

    def decides(replications: int) -> bool:
        times = replications / tally.replications
        above_floor, above_ceiling = (each.rejects(times, planned or replications) for each in above)
        below_floor, below_ceiling = (each.rejects(times, planned or replications) for each in below)
        low = ceiling + _BEYOND if above_ceiling else floor + _BEYOND if above_floor else 0.0
        high = floor - _BEYOND if below_floor else ceiling - _BEYOND if below_ceiling else 1.0
        return decide(spec, low, high) != "inconclusive"

    enough = tally.replications + 1
    while not decides(enough):
        enough *= 2
        if enough > NEEDED_MAX:
            return None
    return bisect_left(range(enough), True, lo=max(tally.replications + 1, enough // 2), key=decides)


def judge(spec: ClaimSpec, tally: Tally, *, replay: str = "") -> dict[str, Any]:
    """The claim's entry in `results.json`.

    `replay` is the command that replays a seed, with `{seed}` in its place (see `relaysim.reports.results.replay_template`).
    `verdict` follows the module's table; `why` says in a sentence what decided it, `reason` why another verdict or
    this one was expected ("never met" or `NO_ANSWER` without trials). An inconclusive rate says under `needed` how many
    trials would decide if the rate stays, and under `needed_replications` how many replications those are; neither is there
    if no number would do. Raises ValueError for more events than trials, except for `never` and `absent`.
    """
    if tally.count > tally.n and not spec.rules.is_about_occurrence:
        raise ValueError(f"claim {spec.id!r}: {tally.count} events among only {tally.n} trials")
    entry: dict[str, Any] = {
        "id": spec.id,
        "title": spec.title,
        "kind": spec.kind,
        "event": spec.event,
        "among": spec.among,
        "expected": spec.expect,
        "reason": spec.reason,
        "replications": tally.replications,
        "confidence": rounded(1 - spec.alpha),
        "sides": spec.rules.sides,
        "limit": list(spec.limits),
        **rate(tally, alpha=spec.alpha, one_sided=spec.rules.sides == 1, trials_max=spec.trials_max),
    }
    if spec.by_construction:
        entry["by_construction"] = True
    if spec.where:
        entry |= {"where": spec.where, "met_replications": tally.with_trials}
    if spec.rules.reads_series:
        entry["value"] = spec.value
        if tally.low is not None:
            entry["values"] = [tally.low, tally.high]
    entry |= _verdict(spec, tally, entry)
    entry["as_expected"] = entry["verdict"] == spec.expect
    entry["examples"] = [
        {**example, "replay": replay_of(replay, example["seed"], spec.id)} for example in tally.examples
    ]
    return entry


def _verdict(spec: ClaimSpec, tally: Tally, entry: Mapping[str, Any]) -> dict[str, Any]:
    said = _verdict_everywhere(spec, tally, entry)
    if spec.where and 0 < tally.with_trials < tally.replications:
        met = f"{tally.with_trials:,} of {counted(tally.replications, 'replication')}"
        said["why"] += f"; judged by {met}, since in the others `{spec.where}` was 0"
    return said


def _verdict_everywhere(spec: ClaimSpec, tally: Tally, entry: Mapping[str, Any]) -> dict[str, Any]:
    low, high = entry["interval"]
    if spec.rules.occurrence_refutes and tally.count:
        times = "once" if tally.count == 1 else f"{tally.count:,} times"
        return {"verdict": "refuted", "why": f"happened {times}; one occurrence refutes"}
    if spec.rules.occurrence_undecides and tally.count:
        times = "once" if tally.count == 1 else f"{tally.count:,} times"
        message = f"happened {times}, and nothing here tells whether that is right"
        return {"verdict": "inconclusive", "reason": "cannot be known", "why": message}
    if tally.n == 0:
        among = spec.where or (spec.event if spec.rules.reads_series else spec.among)
        worlds = "the only replication" if tally.replications == 1 else f"all {tally.replications:,} replications"
        nothing = "had no value" if spec.rules.reads_series and not spec.where else "was 0"
        if spec.event == LATE:
            message = f"no answer to measure: nobody got an answer or an apology in {worlds}"
            return {"verdict": "inconclusive", "reason": NO_ANSWER, "why": message}
        message = f"never met: `{among}` {nothing} in {worlds}"
        return {"verdict": "inconclusive", "reason": "never met", "why": message}
    if spec.rules.is_about_occurrence:
        if (short := too_few(spec, tally)) is not None:
            return short
        message = (
            f"did not happen in {counted(tally.n, 'trial')}, so not in more than {_percent(high)} of them at "
            f"{_percent(1 - spec.alpha)} confidence"
        )
        more = _replications_for_one_percent(spec, tally, high)
        if more is None:
            return {"verdict": "verified", "why": message}
        message += f"; {counted(more - tally.replications, 'more replication')} would show not more than 1 %"
        return {"verdict": "verified", "why": message, "bound_replications": more}
    if spec.rules.reads_series:
        if tally.count == tally.n:
            if (short := too_few(spec, tally)) is not None:
                return short
            return {"verdict": "verified", "why": f"every value is exactly {_number(spec.value)}"}
        seen = f", between {_number(tally.low)} and {_number(tally.high)}" if tally.low is not None else ""
        message = f"not {_number(spec.value)}: {tally.n - tally.count:,} of {counted(tally.n, 'value')}{seen}"
        return {"verdict": "refuted", "why": message}
    verdict = decide(spec, low, high)
    if verdict != "inconclusive":
        side = "inside" if verdict == "verified" else "outside"
        return {"verdict": verdict, "why": f"the whole interval lies {side} the limit"}
    return {"verdict": verdict, **needed_words(spec, tally)}


def _replications_for_one_percent(spec: ClaimSpec, tally: Tally, high: float) -> int | None:
    """How many replications would show that what did not happen does not in more than 1 %; None if these do, or none can."""
    if high <= _ONE_PERCENT or spec.of_one_world or tally.portions_of_a_log:
        return None
    below = ClaimSpec(
        id=spec.id,
        title=spec.title,
        kind="below",
        event=spec.event,
        among=spec.among,
        limit=_ONE_PERCENT,
        alpha_share=spec.alpha_share,
        trials_max=spec.trials_max,
    )
    needed = needed_words(below, tally).get("needed_replications")
    return needed if needed is not None and needed > tally.replications else None


def too_few(spec: ClaimSpec, tally: Tally) -> dict[str, Any] | None:
    """Why what was always so is not shown, with how many trials and replications would do; None if there were enough.

    Of a record of what happened the number of trials counts, not that of its portions, which are no replications.
    """
    if spec.of_one_world or tally.portions_of_a_log:
        return None
    if 1 - spec.alpha ** (1 / tally.with_trials) < RARE_SHARE:
        return None
    least = math.floor(math.log(spec.alpha) / math.log(1 - RARE_SHARE)) + 1
    needed = math.ceil(least * tally.replications / tally.with_trials)
    is_alone = tally.with_trials == 1
    seen = "every value was right" if spec.rules.reads_series else "did not happen"
    message = f"{seen}, but {counted(tally.with_trials, 'replication')} {'does' if is_alone else 'do'} not show that "
    message += f"{'most are so' if spec.rules.reads_series else 'it does not happen in half of them'}; {needed:,} would"
    return {
        "verdict": "inconclusive",
        "reason": TOO_FEW,
        "needed": math.ceil(needed * tally.n / tally.replications),
        "needed_replications": needed,
        "why": message,
    }


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"
