"""A scenario's claims judged: run its replications, its map and its curve, and make its entry in `results.json`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from relaysim.reports.claim_kinds import CLAIM_KINDS
from relaysim.reports.claims import SUM_OF_BREACHES, ClaimSpec, judge, rate
from relaysim.reports.confidence_sequences import judge_sequence
from relaysim.reports.results import replay_of
from relaysim.scenarios import blocked_loops
from relaysim.scenarios.counter_tallies import UNASSIGNED, counter_entries, note_nothing_matched, unassigned_words
from relaysim.scenarios.determinism.recheck import Recheck
from relaysim.scenarios.load import variant
from relaysim.scenarios.model import CurvePlan, MapPlan, Scenario
from relaysim.scenarios.own_word_tallies import judge_own_words
from relaysim.scenarios.replication_summary import Summary
from relaysim.scenarios.runner import Batch, Cost, Lane, Observe, Progress, run_batches
from relaysim.scenarios.sequential import Sequences, Sequential, run_sequentially
from relaysim.scenarios.strata_tallies import judge_in_strata, shown_strata, strata_of
from relaysim.scenarios.tried import tried
from relaysim.sim.world.invariants import BREACH_TITLES
from relaysim.sim.world.provider_service import DEADLINES

#: Counts of the observation that tell what became of messages; the rest are under `counts`.
OUTCOMES = ("messages", "answered", "covered", "friendly_failure", "generic_failure", "lost", "succeeded", "failed")


def verify_scenario(
    scenario: Scenario,
    *,
    replications: int | None = None,
    lane: Lane | None = None,
    lane_check: int | None = None,
    jobs: int = 1,
    progress: Callable[[Progress], None] | None = None,
    observe: Observe | None = None,
    sequential: Sequential | None = None,
    recheck: Recheck | None = None,
) -> tuple[dict[str, Any], Cost]:
    """The scenario's entry in `results.json`, and what it took.

    Args:
        scenario: as loaded.
        replications: instead of its own number; its map, curve and lane check get at most as many per cell.
        lane: instead of its own.
        lane_check: with lane `direct`, how many of the first seeds also go through lane `sdk`; instead of its own.
        jobs: processes.
        progress: called as replications are done.
        observe: what runs a replication, see `run_batches`.
        sequential: stop as soon as every rate is decided; `replications` is then not read. The lane check has at most as
            many seeds as the first look.
        recheck: takes the traces of the first seeds, to compare them with another run's.

    Raises:
        ReplicationError, LostWorkerError: see `run_batches`.
    """
    lane = lane or scenario.lane
    own, *batches = batches_of(scenario, replications, lane, lane_check, sequential)
    checked = own.fingerprints
    own = replace(own, traces=0 if recheck is None else recheck.seeds_of(scenario))
    sequences = None
    if sequential is None:
        summaries, cost = run_batches([own, *batches], jobs=jobs, progress=progress, observe=observe)
    else:
        summaries, sequences, cost = run_sequentially(
            scenario, own, batches, sequential, jobs=jobs, progress=progress, observe=observe
        )

    specs = scenario.specs()
    main = summaries["main"]
    if recheck is not None:
        recheck.take(scenario, main.traces)
    entry = _entry(scenario, specs, main, lane, sequences)
    if checked:
        entry["lane_check"] = compare(main, summaries["lane check"], checked)
    if scenario.map is not None:
        entry["map"] = _map(scenario, scenario.map, specs, summaries)
    if scenario.curve is not None:
        entry["curve"] = _curve(scenario.curve, specs, summaries)
    return entry, cost


def batches_of(
    scenario: Scenario,
    replications: int | None,
    lane: Lane | None,
    lane_check: int | None,
    sequential: Sequential | None,
) -> list[Batch]:
    """The worlds that `verify_scenario` runs: the scenario's own first, and those of its lane check, its map and its curve.

    Args:
        scenario, replications, lane, lane_check, sequential: see there; with `sequential` its own are those up to the first
            look.
    """
    count = worlds_at_least(scenario, replications, sequential)
    lane = lane or scenario.lane
    checked = min(count, scenario.check_lanes if lane_check is None else lane_check) if lane == "direct" else 0
    text, in_strata = scenario.to_json(), strata_of(scenario) is not None
    batches = [Batch("main", text, count, lane, fingerprints=checked, in_strata=in_strata)]
    if checked:
        batches.append(Batch("lane check", text, checked, "sdk", (), checked, in_strata=in_strata))
    cap = replications or 10**9
    if scenario.map is not None:
        batches += _map_batches(scenario, scenario.map, lane, cap)
    if scenario.curve is not None:
        batches += _curve_batches(scenario, scenario.curve, lane, cap)
    return batches


def worlds_planned(
    scenario: Scenario,
    replications: int | None,
    lane: Lane | None,
    lane_check: int | None,
    sequential: Sequential | None,
) -> dict[str, int]:
    """How many worlds each batch has at the most, by its key; the arguments are those of `batches_of`."""
    planned = {each.key: each.count for each in batches_of(scenario, replications, lane, lane_check, sequential)}
    if sequential is not None:
        planned["main"] = (
            sequential.maximum_of(scenario)
            if any(spec.rules.has_rate for spec in scenario.specs().values())
            else min(scenario.replications, sequential.maximum_of(scenario))
        )
    return planned


def worlds_at_least(scenario: Scenario, replications: int | None, sequential: Sequential | None) -> int:
    """How many worlds of a scenario are run in any case; without looks on the way that is all of them."""
    if sequential is not None:
        return sequential.looks_at(scenario)[0]
    return replications or scenario.replications


def compare(direct: Summary, sdk: Summary, seeds: int) -> dict[str, Any]:
    """Whether the first seeds left the same fingerprints in both lanes, and if not, the first that did not."""
    for seed in range(seeds):
        if direct.fingerprints[seed] != sdk.fingerprints[seed]:
            pair = {"direct": direct.fingerprints[seed], "sdk": sdk.fingerprints[seed]}
            return {"seeds": seeds, "equal": False, "first_differing_seed": seed, "fingerprints": pair}
    return {"seeds": seeds, "equal": True}


def judged(scenario: Scenario, main: Summary, lane: Lane) -> dict[str, Any]:
    """What these replications of a scenario make its entry in `results.json`, with neither map nor curve."""
    return _entry(scenario, scenario.specs(), main, lane, None)


def _entry(
    scenario: Scenario, specs: Mapping[str, ClaimSpec], main: Summary, lane: Lane, sequences: Sequences | None
) -> dict[str, Any]:
    origin = scenario.origin
    replay = origin.replay_template()
    obstacles = main.obstacles.entries(main.replications)
    if any(each["kind"] == "raised" for each in obstacles):
        main = main.nothing_judged()
    claims = [_judge(scenario, spec, main, replay, sequences) for spec in specs.values()]
    for claim in claims:
        if claim["event"] == "undeclared_texts":
            judge_own_words(claim, main.around_replies, main.beginnings, replay)
        if obstacles and claim["verdict"] != "refuted":
            _judge_not_at_all(claim, "; ".join(each["text"] for each in obstacles), "kept from being judged")
        if claim["verdict"] != "refuted" and (why := unassigned_words(claim["event"], main.counters)):
            _judge_not_at_all(claim, why, UNASSIGNED)
    # In a world that is on a tape everything was decided: what is not on it was to hit nothing.
    unmet = [] if obstacles or scenario.tape is not None else main.never_met
    for claim in claims:
        if unmet and claim["verdict"] != "refuted":
            # A replication that never met the fault it was to meet has shown nothing, and more of them would not.
            _judge_not_at_all(claim, f"never met: {', '.join(unmet)} hit nothing", "never met")
    for claim in claims:
        if claim["event"] == SUM_OF_BREACHES and claim["n"] == main.counts["messages"]:
            claim["messages_hit"] = main.counts.get("breached_messages", 0)
    counters = counter_entries(main.counters, scenario.counters)
    for claim in claims:
        note_nothing_matched(claim, counters)
    entry: dict[str, Any] = {
        **scenario.identity(),
        "worlds": scenario.worlds_hash,
        "root_seed": scenario.root_seed,
        "lane": lane,
        "mode": scenario.mode,
        "profile": scenario.backend.name,
        "factory": scenario.relay.factory,
        "replications": main.replications,
        "tried": tried(scenario, main.counts["messages"], main.fault_hits),
        "claims": claims,
        "invariants": {name: _breaches(name, tally, replay) for name, tally in sorted(main.invariants.items())},
        "outcomes": {name: main.counts[name] for name in OUTCOMES if name in main.counts},
        "counts": {name: main.counts[name] for name in sorted(main.counts) if name not in OUTCOMES},
        **({"counters": counters} if counters else {}),
        "latency": {name: spread.to_dict() for name, spread in sorted(main.spreads.items()) if spread.n},
        "reply_or_never": _reply_or_never(main),
        "virtual_seconds": main.virtual_seconds,
        "events": main.events,
        "fingerprint": main.fingerprint,
    }
    if scenario.variant:
        entry["variant"] = scenario.variant
    if origin.settings:
        entry["settings"] = dict(origin.settings)
    if scenario.strategy != "independent":
        entry["strategy"] = scenario.strategy
    if (strata := strata_of(scenario)) is not None:
        entry["strata"] = shown_strata(scenario, strata, claims)
    if sequences is not None:
        entry["sequential"] = {"error": sequences.error, "maximum": sequences.maximum, "looks": sequences.looks}
    if obstacles:
        entry["obstacles"] = obstacles
    if main.exceptions:
        entry["exceptions"] = [
            {"what": what, **asdict(each), "replay": replay.replace("{seed}", str(each.seed))}
            for what, each in sorted(main.exceptions.items(), key=lambda named: (-named[1].replications, named[0]))
        ]
    if main.blocked:
        entry["blocked_loops"] = blocked_loops.entries(main.blocked, replay)
    if scenario.provider is None and main.longest_handling > min(DEADLINES.values()):
        entry["longest_handling"] = main.longest_handling
        repeated = scenario.workload.redeliver_seconds
        if repeated is not None and main.longest_handling > repeated.sample(0.5):
            # Its webhooks are repeated, and whoever would repeat them has not been asked how long it waits.
            entry["unjudged_deadline"] = True
    if main.fault_hits:
        entry["fault_hits"] = {name: list(counts) for name, counts in main.fault_hits.items()}
    return entry


def _reply_or_never(main: Summary) -> dict[str, Any]:
    """Percentiles of the time to a reply, of all messages: those that no reply covers wait for ever, which is None."""
    spread, lost = main.spreads.get("reply_seconds"), main.counts.get("lost", 0)
    replied = 0 if spread is None else spread.n
    among = replied + lost
    found: dict[str, Any] = {"n": among, "never": lost}
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        rank = max(1, math.ceil(share * among))
        found[name] = None if spread is None or rank > replied else spread.quantile((rank - 0.5) / replied)
    return found


def _judge_not_at_all(claim: dict[str, Any], why: str, reason: str) -> None:
    """Make a claim inconclusive, however many replications there were: more like them would show no more."""
    for trials in ("needed", "needed_replications"):
        claim.pop(trials, None)
    claim |= {"verdict": "inconclusive", "why": why, "reason": reason}
    claim["as_expected"] = claim["verdict"] == claim["expected"]


def _judge(
    scenario: Scenario, spec: ClaimSpec, main: Summary, replay: str, sequences: Sequences | None
) -> dict[str, Any]:
    tally = main.tallies[spec.id]
    if (strata := strata_of(scenario)) is not None:
        return judge_in_strata(scenario, strata, spec, main, replay)
    if sequences is not None and spec.id in sequences.of_claim:
        return judge_sequence(sequences.of_claim[spec.id], tally, maximum=sequences.maximum, replay=replay)
    return judge(spec, tally, replay=replay)


def _breaches(name: str, tally: Any, replay: str) -> dict[str, Any]:
    examples = [{**example, "replay": replay_of(replay, example["seed"], name)} for example in tally.examples]
    title = {"title": BREACH_TITLES[name]} if tally.count and name in BREACH_TITLES else {}
    return {"breaches": tally.count, "checked": tally.n, "examples": examples, **title}


def _map_batches(scenario: Scenario, plan: MapPlan, lane: Lane, cap: int) -> list[Batch]:
    ids = _map_claims(scenario, plan)
    batches = []
    for y in plan.y.values:
        for x in plan.x.values:
            cell = variant(scenario, {plan.x.path: x, plan.y.path: y})
            if _same_world(cell, scenario):
                continue  # the scenario's own replications are this cell's
            values = ((plan.x.path, x), (plan.y.path, y))
            batches.append(Batch(f"map {x} {y}", cell.to_json(), min(plan.replications, cap), lane, ids, values=values))
    return batches


def _same_world(cell: Scenario, scenario: Scenario) -> bool:
    """Whether a cell's values are those that the scenario has anyway; what a number rests on does not matter."""
    aside: Any = {"backend": {"basis"}, "profile_overrides": True}
    return cell.model_dump(exclude=aside) == scenario.model_dump(exclude=aside)


def _map_claims(scenario: Scenario, plan: MapPlan) -> tuple[str, ...]:
    return plan.claims or tuple(claim.id for claim in scenario.claims if CLAIM_KINDS[claim.kind].has_rate)


def _map(
    scenario: Scenario, plan: MapPlan, specs: Mapping[str, ClaimSpec], summaries: Mapping[str, Summary]
) -> dict[str, Any]:
    ids = _map_claims(scenario, plan)

    def cell(x: float, y: float) -> dict[str, Any]:
        summary = summaries.get(f"map {x} {y}", summaries["main"])
        judged = {identifier: judge(specs[identifier], summary.tallies[identifier]) for identifier in ids}
        for claim in judged.values():
            if claim["verdict"] == "verified" and unassigned_words(claim["event"], summary.counters):
                claim["verdict"] = "inconclusive"
        return {
            "verdicts": {identifier: claim["verdict"] for identifier, claim in judged.items()},
            "observed": {identifier: claim["observed"] for identifier, claim in judged.items()},
            "n": max(claim["n"] for claim in judged.values()),
        }

    cells = [[cell(x, y) for x in plan.x.values] for y in plan.y.values]
    return {"x": plan.x.shown(), "y": plan.y.shown(), "cells": cells}


def _curve_batches(scenario: Scenario, plan: CurvePlan, lane: Lane, cap: int) -> list[Batch]:
    return [
        Batch(
            f"curve {x}",
            variant(scenario, {plan.x.path: x}).to_json(),
            min(plan.replications, cap),
            lane,
            (plan.claim,),
            values=((plan.x.path, x),),
        )
        for x in plan.x.values
    ]


def _curve(plan: CurvePlan, specs: Mapping[str, ClaimSpec], summaries: Mapping[str, Summary]) -> dict[str, Any]:
    spec = specs[plan.claim]
    shown: Sequence[float] = plan.x.shown()["values"]
    points = []
    for x, label in zip(plan.x.values, shown, strict=True):
        point = {"x": label, **rate(summaries[f"curve {x}"].tallies[plan.claim], alpha=spec.alpha)}
        # Where every trial stands alone, the effective number of trials is their number.
        points.append({"n_effective": point["n"], **point})
    return {"x": plan.x.shown(), "points": points, "band": list(plan.band)}
