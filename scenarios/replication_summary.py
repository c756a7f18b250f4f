"""Many replications added up. Sums, smallest seeds and multisets only, so the same replications give the same summary
in whatever order, in however many chunks and processes they were run.

Longer than 400 lines because what is added, merged, written and read again is one list of fields, kept side by side.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from itertools import accumulate, pairwise
from typing import Any

from relaysim.reports.claims import ClaimSpec, Tally
from relaysim.scenarios import blocked_loops
from relaysim.scenarios.blocked_loops import BlockTally
from relaysim.scenarios.counter_tallies import CounterTally
from relaysim.scenarios.obstacle_tallies import Obstacles
from relaysim.scenarios.own_word_tallies import OwnWords

#: More values than this are kept as a histogram.
EXACT_MAX = 20_000
#: Parts of a factor of two in the histogram; a bucket is at most 0.8 % wide.
_PARTS = 128
_TICKS = 2**20
_DIGEST_BITS = 128


@dataclass(slots=True)
class Spread:
    """The distribution of a series of durations: exact for up to `EXACT_MAX` values, then by buckets 0.8 % wide.

    Which of the two depends on the number of values alone. Values are seconds, 0 or more.
    """

    n: int = 0
    total_ticks: int = 0
    highest: float = 0.0
    values: list[float] = field(default_factory=list)
    buckets: dict[int, int] = field(default_factory=dict)

    def add(self, values: Iterable[float]) -> None:
        """Add values."""
        values = list(values)
        if not values:
            return
        self.n += len(values)
        self.total_ticks += sum(round(value * _TICKS) for value in values)
        self.highest = max(self.highest, *values)
        self._keep(values, {})

    def merge(self, other: Spread) -> None:
        """Add another spread's values."""
        self.n += other.n
        self.total_ticks += other.total_ticks
        self.highest = max(self.highest, other.highest)
        self._keep(other.values, other.buckets)

    def _keep(self, values: Sequence[float], buckets: Mapping[int, int]) -> None:
        self.values += values
        for bucket, count in buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count
        if self.n > EXACT_MAX:
            for value in self.values:
                bucket = _bucket(value)
                self.buckets[bucket] = self.buckets.get(bucket, 0) + 1
            self.values = []

    def quantile(self, share: float) -> float:
        """The smallest value that at least this share of the values does not exceed; from a bucket, its lower end."""
        rank = max(1, math.ceil(share * self.n))
        if not self.buckets:
            return sorted(self.values)[rank - 1]
        for bucket in sorted(self.buckets):
            rank -= self.buckets[bucket]
            if rank <= 0:
                return _lower_end(bucket)
        raise AssertionError("the buckets hold every value")

    def to_dict(self) -> dict[str, Any]:
        """n, mean, p50, p90, p99 and max, in seconds; without values only n."""
        if not self.n:
            return {"n": 0}
        quantiles = {f"p{percent}": self.quantile(percent / 100) for percent in (50, 90, 99)}
        return {"n": self.n, "mean": self.total_ticks / self.n / _TICKS, **quantiles, "max": self.highest}

    def to_plain(self) -> dict[str, Any]:
        """All of it as plain data, fit for JSON and as short as may be; `from_plain` reads it.

        Values are counted, and sorted, so equal spreads give equal data in whatever order they were added up. Multiples of
        2^-20 s, which virtual time consists of, are written as the steps from one to the next in that unit.
        """
        plain: dict[str, Any] = {"n": self.n, "total_ticks": self.total_ticks, "highest": self.highest}
        counted = sorted(Counter(self.values).items())
        if counted:
            plain["counts"] = _shortened([count for _, count in counted])
            ticks = [value * _TICKS for value, _ in counted]
            if all(each.is_integer() for each in ticks):
                edges = [0, *map(int, ticks)]
                plain["steps"] = [after - before for before, after in pairwise(edges)]
            else:
                plain["values"] = [value for value, _ in counted]
        if self.buckets:
            plain["buckets"] = [[bucket, self.buckets[bucket]] for bucket in sorted(self.buckets)]
        return plain

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Spread:
        """What `to_plain` wrote."""
        spread = cls(plain["n"], plain["total_ticks"], float(plain["highest"]))
        if "steps" in plain:
            values = [ticks / _TICKS for ticks in accumulate(plain["steps"])]
        else:
            values = [float(value) for value in plain.get("values", ())]
        counts = plain.get("counts", ()) or [1] * len(values)
        for value, count in zip(values, counts, strict=True):
            spread.values += [value] * count
        spread.buckets = dict(plain.get("buckets", ()))
        return spread


def _shortened(counts: list[int]) -> list[int]:
    """The counts, or nothing where each is 1."""
    return [] if all(count == 1 for count in counts) else counts


def _bucket(value: float) -> int:
    # frexp and these factors are exact on every platform; a logarithm need not be.
    fraction, exponent = math.frexp(max(value, 2.0**-20))
    return exponent * _PARTS + int((fraction - 0.5) * 2 * _PARTS)


def _lower_end(bucket: int) -> float:
    exponent, part = divmod(bucket, _PARTS)
    return math.ldexp(0.5 + part / (2 * _PARTS), exponent)


@dataclass(slots=True)
class ExceptionTally:
    """An exception that is told beside the verdicts: in how many replications it was seen, the first seed, what it said
    there, and how often it was seen in all."""

    replications: int
    seed: int
    text: str
    times: int = 1

    def merge(self, other: ExceptionTally) -> None:
        """Add other replications."""
        self.replications += other.replications
        self.times += other.times
        if other.seed < self.seed:
            self.seed, self.text = other.seed, other.text


#: The counts that a row keeps of its replication, in this order.
ROW_COUNTS = (
    "messages",
    "answered",
    "covered",
    "lost",
    "friendly_failure",
    "generic_failure",
    "failed",
    "transparency_breaches",
    "requests",
    "redis_commands",
    "met_active_run",
    "not_recovered",
    "met_and_failed",
    "clearing_requests",
    "clearing_milliseconds",
)


@dataclass(frozen=True, slots=True)
class Row:
    """What one replication showed, as little as lets it be paired with the same one under another policy.

    `counts` are those of `ROW_COUNTS`; `reply_seconds` has one value for each message with a reply.
    """

    counts: tuple[int, ...]
    reply_seconds: array[float]


@dataclass(slots=True)
class Summary:
    """What some replications of one scenario in one lane showed.

    `tallies` has one tally per claim, `invariants` one per invariant; `fingerprints` those of the seeds that were asked
    for; `digest` is the sum of all fingerprints' digests; `rows` has each seed's own numbers, if they were asked for, and
    `traces` its packed trace, if its observation came with one; `exceptions` those that no code received; `blocked` the
    lines that held up an event loop; `longest_handling` the seconds until the slowest `handle` returned; `counters` what the
    scenario counts besides.
    """

    replications: int = 0
    tallies: dict[str, Tally] = field(default_factory=dict)
    invariants: dict[str, Tally] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    spreads: dict[str, Spread] = field(default_factory=dict)
    fault_hits: dict[str, list[int]] = field(default_factory=dict)
    exceptions: dict[str, ExceptionTally] = field(default_factory=dict)
    blocked: dict[str, BlockTally] = field(default_factory=dict)
    longest_handling: float = 0.0
    fingerprints: dict[int, str] = field(default_factory=dict)
    traces: dict[int, bytes] = field(default_factory=dict)
    rows: dict[int, Row] = field(default_factory=dict)
    obstacles: Obstacles = field(default_factory=Obstacles)
    around_replies: OwnWords = field(default_factory=OwnWords)
    beginnings: OwnWords = field(default_factory=OwnWords)
    counters: dict[str, CounterTally] = field(default_factory=dict)
    virtual_ticks: int = 0
    events: int = 0
    digest: int = 0

    def add(
        self,
        observation: Mapping[str, Any],
        specs: Sequence[ClaimSpec],
        invariants: Mapping[str, str],
        *,
        keep_fingerprint: bool = False,
        keep_row: bool = False,
        checked: Mapping[str, str] | None = None,
    ) -> None:
        """Add one replication; `invariants` names the count of each one's breaches, `checked` that of the cases in which it
        could have been broken, `messages` where it names none.

        A replication in which the relay called what is not simulated counts as a replication and as nothing else."""
        seed, fingerprint = int(observation["seed"]), str(observation["fingerprint"])
        self.replications += 1
        self.virtual_ticks += round(observation["virtual_seconds"] * _TICKS)
        self.events += observation["events"]
        self.digest = (self.digest + _digest(seed, fingerprint)) % 2**_DIGEST_BITS
        if keep_fingerprint:
            self.fingerprints[seed] = fingerprint
        if "trace" in observation:
            self.traces[seed] = observation["trace"]
        if keep_row:
            counts = tuple(int(observation["counts"][name]) for name in ROW_COUNTS)
            self.rows[seed] = Row(counts, array("d", observation["series"]["reply_seconds"]))
        if self.obstacles.add(observation.get("obstacles", {}), observation.get("handlings", 0)):
            for spec in specs:
                self.tallies.setdefault(spec.id, Tally())
            for name in observation["counts"]:
                self.counts.setdefault(name, 0)
            return
        own_words = observation.get("own_words", {})
        self.around_replies.add(own_words.get("around_replies", {}), seed, fingerprint)
        self.beginnings.add(own_words.get("beginnings", {}), seed, fingerprint)
        for spec in specs:
            self.tallies.setdefault(spec.id, Tally()).observe(spec, observation)
        for name, count in invariants.items():
            among = "messages" if checked is None else checked.get(name, "messages")
            never = ClaimSpec(id=name, title=name, kind="never", event=count, among=among)
            self.invariants.setdefault(name, Tally()).observe(never, observation)
        for name, count in observation["counts"].items():
            self.counts[name] = self.counts.get(name, 0) + count
        for name, found in observation.get("counters", {}).items():
            self.counters.setdefault(name, CounterTally()).add(found)
        for name, values in observation["series"].items():
            # A series may mark what has no duration with a negative number.
            self.spreads.setdefault(name, Spread()).add(value for value in values if value >= 0)
        self._add_hits(observation.get("fault_hits", {}))
        blocked_loops.add(self.blocked, blocked_loops.observed(observation.get("blocked", {}), seed))
        self.longest_handling = max(self.longest_handling, observation.get("longest_handling", 0.0))
        found = observation.get("exceptions", {}).items()
        self._add_exceptions({name: ExceptionTally(1, seed, each["said"], each["times"]) for name, each in found})

    def merge(self, other: Summary) -> Summary:
        """Add other replications, and return this summary."""
        self.replications += other.replications
        for own_tallies, other_tallies in ((self.tallies, other.tallies), (self.invariants, other.invariants)):
            for name, tally in other_tallies.items():
                own_tallies.setdefault(name, Tally()).merge(tally)
        for name, count in other.counts.items():
            self.counts[name] = self.counts.get(name, 0) + count
        for name, spread in other.spreads.items():
            self.spreads.setdefault(name, Spread()).merge(spread)
        self._add_hits(other.fault_hits)
        self._add_exceptions(other.exceptions)
        blocked_loops.add(self.blocked, other.blocked)
        self.longest_handling = max(self.longest_handling, other.longest_handling)
        self.fingerprints |= other.fingerprints
        self.traces |= other.traces
        self.rows |= other.rows
        self.obstacles.merge(other.obstacles)
        for name, counter in other.counters.items():
            self.counters.setdefault(name, CounterTally()).merge(counter)
        self.around_replies.merge(other.around_replies)
        self.beginnings.merge(other.beginnings)
        self.virtual_ticks += other.virtual_ticks
        self.events += other.events
        self.digest = (self.digest + other.digest) % 2**_DIGEST_BITS
        return self

    def _add_hits(self, hits: Mapping[str, Sequence[int]]) -> None:
        for name, counts in hits.items():
            own_tallies = self.fault_hits.setdefault(name, [0] * len(counts))
            for index, count in enumerate(counts):
                own_tallies[index] += count

    def _add_exceptions(self, exceptions: Mapping[str, ExceptionTally]) -> None:
        for name, tally in exceptions.items():
            known = self.exceptions.setdefault(name, ExceptionTally(0, tally.seed, tally.text, 0))
            known.merge(tally)

    def to_plain(self) -> dict[str, Any]:
        """All but the traces as plain data, fit for JSON; `from_plain` reads it. Equal replications give equal data."""
        plain: dict[str, Any] = {
            "replications": self.replications,
            "tallies": {name: _plain_tally(tally) for name, tally in self.tallies.items()},
            "invariants": {name: _plain_tally(tally) for name, tally in self.invariants.items()},
            "counts": dict(self.counts),
            "spreads": {name: spread.to_plain() for name, spread in self.spreads.items()},
            "fault_hits": {name: list(counts) for name, counts in self.fault_hits.items()},
            "virtual_ticks": self.virtual_ticks,
            "events": self.events,
            "digest": f"{self.digest:032x}",
        }
        if self.exceptions:
            plain["exceptions"] = {name: asdict(tally) for name, tally in sorted(self.exceptions.items())}
        if self.blocked:
            plain["blocked"] = {place: asdict(tally) for place, tally in sorted(self.blocked.items())}
        if self.counters:
            plain["counters"] = {name: tally.to_plain() for name, tally in sorted(self.counters.items())}
        if self.longest_handling:
            plain["longest_handling"] = self.longest_handling
        # JSON's keys are texts, and these are numbers.
        if self.fingerprints:
            plain["fingerprints"] = [[seed, self.fingerprints[seed]] for seed in sorted(self.fingerprints)]
        if self.rows:
            rows = ((seed, self.rows[seed]) for seed in sorted(self.rows))
            plain["rows"] = [[seed, list(row.counts), list(row.reply_seconds)] for seed, row in rows]
        if obstacles := self.obstacles.to_plain():
            plain["obstacles"] = obstacles
        if around_replies := self.around_replies.to_plain():
            plain["around_replies"] = around_replies
        if beginnings := self.beginnings.to_plain():
            plain["beginnings"] = beginnings
        return plain

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Summary:
        """What `to_plain` wrote, also after it went through JSON."""
        return cls(
            replications=plain["replications"],
            tallies={name: Tally.from_dict(tally) for name, tally in plain["tallies"].items()},
            invariants={name: Tally.from_dict(tally) for name, tally in plain["invariants"].items()},
            counts=dict(plain["counts"]),
            spreads={name: Spread.from_plain(spread) for name, spread in plain["spreads"].items()},
            fault_hits={name: list(counts) for name, counts in plain["fault_hits"].items()},
            exceptions={name: ExceptionTally(**each) for name, each in plain.get("exceptions", {}).items()},
            blocked={place: BlockTally(**each) for place, each in plain.get("blocked", {}).items()},
            counters={name: CounterTally.from_plain(each) for name, each in plain.get("counters", {}).items()},
            longest_handling=plain.get("longest_handling", 0.0),
            fingerprints=dict(plain.get("fingerprints", ())),
            rows={seed: Row(tuple(counts), array("d", seconds)) for seed, counts, seconds in plain.get("rows", ())},
            obstacles=Obstacles.from_plain(plain.get("obstacles", {})),
            around_replies=OwnWords.from_plain(plain.get("around_replies", {})),
            beginnings=OwnWords.from_plain(plain.get("beginnings", {})),
            virtual_ticks=plain["virtual_ticks"],
            events=plain["events"],
            digest=int(plain["digest"], 16),
        )

    def nothing_judged(self) -> Summary:
        """The same replications as if none of them had been looked at: how many they were, and how much they did."""
        kept = {"messages": self.counts["messages"]}
        return replace(
            self, tallies={name: Tally() for name in self.tallies}, invariants={}, counts=kept, spreads={}, counters={}
        )

    @property
    def never_met(self) -> list[str]:
        """The faults that hit nothing in any replication, as `list[index]`."""
        lists = self.fault_hits.items()
        return [f"{name}[{index}]" for name, counts in lists for index, hits in enumerate(counts) if not hits]

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that change if any replication's fingerprint does."""
        return f"{self.digest:032x}"

    @property
    def virtual_seconds(self) -> float:
        """Virtual time lived, over all replications."""
        return self.virtual_ticks / _TICKS


#: A tally's keys that are written also when 0: what is missing would be read as something else.
_KEPT = frozenset({"low", "high"})


def _plain_tally(tally: Tally) -> dict[str, Any]:
    """A tally without what is 0 or nothing, which most of many invariants' tallies are."""
    plain = tally.to_dict()
    return {name: value for name, value in plain.items() if value is not None and (value or name in _KEPT)}


def _digest(seed: int, fingerprint: str) -> int:
    return int.from_bytes(blake2b(f"{seed}:{fingerprint}".encode(), digest_size=_DIGEST_BITS // 8).digest(), "big")
