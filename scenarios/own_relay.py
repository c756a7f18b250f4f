"""What is to be said of somebody's own relay besides whether it is safe: why not, and under which waits, in words.

Whether it is safe is said by `relaysim.reports.answers.of_relay`; these stand below it, with `--full` and in the page.

How long a cancelled run takes to free its thread is the backend's doing, and decides which waits are long enough. So
besides the scenarios' own claims the race is run under a row of such durations, and the answer says up to which one the
relay's messages get through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from relaysim.reports.answers.severity import MEANINGS
from relaysim.reports.claims import TOO_FEW
from relaysim.reports.determinism import is_deterministic
from relaysim.reports.summary import exception_words
from relaysim.scenarios import blocked_loops
from relaysim.scenarios.load import load, variant
from relaysim.scenarios.model import Origin, Scenario
from relaysim.scenarios.problems import ScenarioError
from relaysim.scenarios.runner import Batch, Cost, Lane, Observe, Progress, run_batches
from relaysim.sim.counted import counted
from relaysim.sim.trace.own_texts import shows_api
from relaysim.sim.world.provider_service import DEADLINES

#: The scenarios that judge a relay of one's own; the incident's other ones are about its own numbers.
OWN_RELAY = ("race", "rapid_pair", "stuck_run", "persistent_failure", "peak_hour")

#: Seconds from a cancel to the freed thread.
FREE_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
_REPLICATIONS = 20
_PATH = "profile_overrides.cancel_seconds"


def own_relays(scenarios: Sequence[Scenario]) -> str | None:
    """Whose safety is the question: the own relays of these scenarios. None if a relay that ships is among them: beside it
    another question is asked, which of them fails less."""
    names = list(dict.fromkeys(scenario.own_relay for scenario in scenarios))
    return None if None in names else ", ".join(name for name in names if name is not None)


def others_load(origin: Origin) -> bool:
    """Whether the relay that an option put in can be judged under the same settings in all of `OWN_RELAY`."""
    if origin.factory is None:
        return False  # a file names it, with settings of its own
    try:
        for name in OWN_RELAY:
            load(name, origin.sets, origin.factory, option=origin.option, check_relay=False)
    except ScenarioError:
        return False
    return True


def waits_planned(replications: int | None) -> int:
    """How many worlds `judge_waits` runs."""
    return min(_REPLICATIONS, replications or _REPLICATIONS) * len(FREE_SECONDS)


def judge_waits(
    race: Scenario,
    *,
    replications: int | None = None,
    lane: Lane | None = None,
    jobs: int = 1,
    progress: Callable[[Progress], None] | None = None,
    observe: Observe | None = None,
) -> tuple[list[dict[str, Any]], Cost]:
    """The race under each of `FREE_SECONDS`: how many messages met an active run, got through, and waited how long."""
    count = waits_planned(replications) // len(FREE_SECONDS)
    batches = [
        Batch(
            f"{seconds}",
            variant(race, {_PATH: {"kind": "constant", "value": seconds}}).to_json(),
            count,
            lane or race.lane,
            claims=(),
            values=((_PATH, seconds),),
        )
        for seconds in FREE_SECONDS
    ]
    summaries, cost = run_batches(batches, jobs=jobs, progress=progress, observe=observe)
    points = []
    for seconds in FREE_SECONDS:
        summary = summaries[f"{seconds}"]
        counts = summary.counts
        point: dict[str, Any] = {
            "free_seconds": seconds,
            "messages": counts["messages"],
            "met_active_run": counts["met_active_run"],
            "got_through": counts["met_active_run"] - counts["not_recovered"],
            "transparency_breaches": counts["transparency_breaches"],
        }
        waits = summary.spreads.get("wait_seconds")
        if waits is not None and waits.n:
            point["wait_seconds"] = {"median": waits.quantile(0.5), "max": waits.highest}
        points.append(point)
    return points, cost


def details(results: Mapping[str, Any], waits: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence per line; none where a seed gave two worlds, since then nothing is known.

    Args:
        results: of the relay's scenarios.
        waits: as of `judge_waits`.
    """
    if not is_deterministic(results):
        return []
    claims = [(scenario, claim) for scenario in results["scenarios"] for claim in scenario["claims"]]
    refuted = [each for each in claims if each[1]["verdict"] == "refuted"]
    unknown = [each for each in claims if each[1]["verdict"] == "inconclusive"]
    obstacles = _obstacles(results)
    lines = [*obstacles]
    lines += _why_not(results, refuted)
    lines += _exceptions(results)
    lines += [line for scenario in results["scenarios"] for line in blocked_loops.sentences(scenario)]
    lines += _too_few(unknown)
    for scenario, claim in unknown:
        if scenario.get("obstacles") or claim.get("reason") == TOO_FEW:
            continue  # which were told before
        lines.append(f"Not shown: {claim['title']} ({scenario['scenario']}): {claim['why']}.")
        if claim.get("event") == "undeclared_texts" and claim["examples"]:
            lines += _undeclared(claim)
        if claim.get("where") == "initial_runs_met" and not claim["met_replications"]:
            lines.append(_never_met(claim))
    lines += _deadlines(results)
    # Of a relay that could not run as it does, nothing that it waited or did not wait for says anything.
    return lines if obstacles else lines + _waits(results, waits)


def _deadlines(results: Mapping[str, Any]) -> list[str]:
    """Where no provider delivers the webhooks, nobody has judged whether they are acknowledged in time."""
    slowest = max(results["scenarios"], key=lambda scenario: scenario.get("longest_handling", 0.0))
    seconds = slowest.get("longest_handling", 0.0)
    missed = ", ".join(f"{name} after {deadline:g} s" for name, deadline in DEADLINES.items() if deadline < seconds)
    if not missed:
        return []
    return [
        f"No provider's deadline was judged: in {slowest['scenario']} a `handle` took up to {seconds:.3g} s, and here a "
        f"webhook is acknowledged when that returns, however late. A provider would deliver it again meanwhile ({missed}). "
        "Judge that with --provider, unless your webhook has been answered before `handle` begins."
    ]


def _obstacles(results: Mapping[str, Any]) -> list[str]:
    """What kept scenarios from showing anything and is not the relay's fault, each with the first that it was in."""
    found: dict[str, list[tuple[str, str]]] = {}
    for scenario in results["scenarios"]:
        for each in scenario.get("obstacles", ()):
            found.setdefault(each["what"], []).append((scenario["scenario"], each["text"]))
    lines = []
    for (first, text), *others in found.values():
        also = f" The same in {', '.join(name for name, _ in others)}." if others else ""
        lines.append(f"First, in {first}: {text}.{also}")
    return lines


def _why_not(results: Mapping[str, Any], refuted: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> list[str]:
    lines = []
    names = dict.fromkeys(scenario["scenario"] for scenario, _ in refuted)
    for scenario in results["scenarios"]:
        if scenario["scenario"] not in names:
            continue
        counts = {**scenario["counts"], **scenario["outcomes"]}
        found = [
            f"{counted(counts[name], noun)} {wrong}" for name, (noun, wrong) in MEANINGS.items() if counts.get(name)
        ]
        broken = ", ".join(f"“{claim['title']}”" for other, claim in refuted if other is scenario)
        if found:
            told = f"Among {counted(counts['messages'], 'message')}: {', '.join(found)}."
        else:  # what a scenario counts itself
            told = " ".join(_counted_by(claim) for other, claim in refuted if other is scenario)
        lines.append(f"In {scenario['scenario']} this is false: {broken}. {told}")
        example = next(
            (each for other, claim in refuted if other is scenario for each in claim["examples"]),
            None,
        )
        if example is not None:
            lines.append(f"  For instance, seed {example['seed']}: {example['detail'].get('text', '')}")
            lines.append(f"  See it: {example['replay']}")
    return lines


def _counted_by(claim: Mapping[str, Any]) -> str:
    among = "worlds" if claim["among"] == "replications" else f"`{claim['among']}`"
    return f"It counts `{claim['event']}`: {claim['count']:,} in {claim['n']:,} {among}."


def _too_few(unknown: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> list[str]:
    """The claims for which there were too few worlds, a line for those of a scenario that say the same."""
    found: dict[tuple[str, str], list[str]] = {}
    for scenario, claim in unknown:
        if claim.get("reason") == TOO_FEW:
            found.setdefault((scenario["scenario"], claim["why"]), []).append(f"“{claim['title']}”")
    return [f"Not shown in {scenario}: {', '.join(titles)}: {why}." for (scenario, why), titles in found.items()]


def _never_met(claim: Mapping[str, Any]) -> str:
    return (
        "  There a run was left on the thread before the first message, and the relay touched it in 0 of "
        f"{counted(claim['replications'], 'world')}. It is met on the thread that messages name (`thread_id`), and on the "
        "first one that the relay opens by `threads.create` while it handles a message of the conversation. "
        "`threads.create_and_run` always makes a new thread, and one with a run in it is refused by nobody: a relay that "
        "uses it for each message is judged by the scenarios without `initial_runs`."
    )


def _undeclared(claim: Mapping[str, Any]) -> list[str]:
    example = claim["examples"][0]
    detail = example["detail"]
    if any(shows_api(text) for text in detail.get("received", ())):
        advice = (
            "It shows an API's name, words or status code, which no customer should read: say in the customer's words what "
            "to do, and do not declare it."
        )
    else:
        advice = (
            "Declare what is right there: as one of the `notices` in the relay's `promises`, or of its `apologies` if it "
            "ends a message or says that something failed, or by --set 'relay.notices=[\"...\"]'. Up to two words that "
            "change (a name, a number) at its beginning or end are left out there; what changes within it, put at its end."
        )
    return [
        f"  For instance, seed {example['seed']}: {detail.get('text', '')}. {advice}",
        f"  See it: {example['replay']}",
    ]


def _exceptions(results: Mapping[str, Any]) -> list[str]:
    """The exceptions that no code received: in production each is a line in a log and work that was not done, and one of a
    `handle` brings the message again, or ends the process."""
    return [
        f"An exception that no code caught, in {scenario['scenario']}: {exception_words(scenario, exception)}."
        for scenario in results["scenarios"]
        for exception in scenario.get("exceptions", ())
    ]


def _waits(results: Mapping[str, Any], waits: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    counts = [scenario["counts"] for scenario in results["scenarios"]]
    if not any(each.get("met_active_run") for each in counts) and not any(point["met_active_run"] for point in waits):
        conflicts = sum(each.get("conflicts", 0) for each in counts)
        if not conflicts:
            creations = sum(each.get("creation_conflicts", 0) for each in counts)
            was = "was" if creations == 1 else "were"
            but = f", but {counted(creations, 'creation')} of runs {was}" if creations else ""
            found = sum(each.get("initial_runs_met", 0) for each in counts)
            if found and not creations:
                return [
                    "None of its appends was refused because of an active run, although it met "
                    f"{counted(found, 'run')} that had been left behind, by looking at runs or cancelling them: how long it "
                    "waited for those is part of its answers' times, and nothing is known of how long a refused append "
                    "would wait."
                ]
            return [
                f"None of its appends was refused because of an active run{but}; nothing is known of how long a refused "
                "append would wait."
            ]
        return [
            f"Of its appends, {conflicts:,} met an active run, all of them outside of the handling of a message, so nothing "
            "is known of how long a message waited."
        ]
    seen = [
        f"{scenario['scenario']} {spread['p50']:.3g} s (at most {spread['max']:.3g} s)"
        for scenario in results["scenarios"]
        if (spread := scenario["latency"].get("wait_seconds"))
    ]
    if seen:
        lines.append(f"After meeting an active run it waited, in the median: {', '.join(seen)}.")
    judged = [point for point in waits if point["met_active_run"]]
    if judged:
        lines.append(_up_to(judged))
    return lines


def _up_to(points: Sequence[Mapping[str, Any]]) -> str:
    good = 0
    while good < len(points) and points[good]["got_through"] == points[good]["met_active_run"]:
        good += 1
    longest = points[-1]["free_seconds"]
    if good == len(points):
        message = (
            f"every message that met an active run got through, even where a cancelled run took {longest:g} s to end"
        )
        return f"Under which waits: {message}."
    bad = points[good]
    share = f"{bad['met_active_run'] - bad['got_through']} of {bad['met_active_run']}"
    if not good:
        fails = f"even where a cancelled run ends within {bad['free_seconds']:g} s"
        return f"Under which waits: none; {fails}, {share} messages that met an active run do not get through."
    held = f"messages that met an active run get through while it ends within {points[good - 1]['free_seconds']:g} s"
    return f"Under which waits: {held} of its cancel; where that takes {bad['free_seconds']:g} s, {share} do not."
