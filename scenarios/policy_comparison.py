"""Several policies in the same worlds of one scenario.

A policy is the scenario's relay with another factory. Everything that a world draws is keyed by what it is for, so
replication i of one policy is the same world as replication i of any other, until the policies' own doings part them.

Whose settings a policy gets:

- `relay.settings` of the scenario were written for the relay that the scenario names, and go to that policy only. Any
  other runs with its defaults. `--settings POLICY.key=value` gives a policy settings of its own.
- A policy that speaks several APIs is told the scenario's.
- The settings of a group of workers say what is special about those workers, for instance another lock key since their
  deployment. They go, key by key, to each policy whose factory names them: as a parameter of its own, or in the
  TypedDict of its `**settings: Unpack[...]`. What a policy does not know is left out, and the results say so.
  `--settings POLICY.workers[1].key=value` gives a group something in its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from relaysim.reports.claims import ALPHA
from relaysim.reports.comparison import KIND, PolicyWorlds, measure_policies
from relaysim.reports.paired import RESAMPLES
from relaysim.reports.results import SCHEMA, replay_template
from relaysim.reports.statistics import rounded
from relaysim.scenarios.counter_tallies import counter_entries
from relaysim.scenarios.docs_pages import POLICY
from relaysim.scenarios.document import PathError, parse_setting
from relaysim.scenarios.load import load
from relaysim.scenarios.model import Scenario
from relaysim.scenarios.own_policies import HOME, apis_of, policies_over
from relaysim.scenarios.policy import (
    FACTORY_PATH,
    LeftOut,
    check_api,
    groups,
    implied_settings,
    known_group_settings,
    load_policy_file,
    policy_sets,
    settings_named_by,
)
from relaysim.scenarios.problems import Problem, ScenarioError
from relaysim.scenarios.replication_summary import ROW_COUNTS, Summary
from relaysim.scenarios.runner import Batch, Cost, Lane, Observe, Progress, run_batches
from relaysim.scenarios.strata_tallies import refuse_strata
from relaysim.scenarios.toml_text import toml_value
from relaysim.sim.validation_words import did_you_mean
from relaysim.sim.world import FactoryError, resolve

#: The policies that are compared if none is named, by the scenario's API.
DEFAULTS: Mapping[str, Sequence[str]] = {
    "threads": ("check_then_act", "cancel_and_retry", "drain"),
    "responses": ("retry_on_lock", "quiet_window", "chained", "drain"),
}
#: The policies that the others are compared with, if one is among them; otherwise it is the first.
BASELINES = ("cancel_and_retry", "retry_on_lock")
POLICIES_MIN = 2
#: What tells the batches of a comparison apart, see `Batch.values`.
_POLICY = "policy"


@dataclass(frozen=True, slots=True)
class Compared:
    """A policy of the comparison: what it is called, its version of the scenario, and whether the scenario names it."""

    name: str
    scenario: Scenario
    own: bool
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """A scenario, and the policies that are to run in it."""

    scenario: Scenario
    policies: tuple[Compared, ...]

    @property
    def against(self) -> str:
        """The policy that the others are compared with."""
        names = [policy.name for policy in self.policies]
        return next((each for each in BASELINES if each in names), names[0])

    def lane(self, asked: Lane | None) -> Lane:
        """The lane asked for, or the scenario's own; `sdk` where a relay from elsewhere may call anything."""
        if asked is not None:
            return asked
        known = (HOME, self.scenario.relay.factory)
        at_home = all(policy.scenario.relay.factory.startswith(known) for policy in self.policies)
        return self.scenario.lane if at_home else "sdk"

    def replay(self, error_values: Mapping[str, Any], seed: int) -> tuple[str, str]:
        """The policy that a failed replication was of (see `Batch.values`), and the command that replays it."""
        name = error_values[_POLICY]
        policy = next(each for each in self.policies if each.name == name)
        return policy.name, _replay(policy).replace("{seed}", str(seed))

    def replay_of(self, name: str, seed: int) -> str:
        """The command that replays one seed of a policy."""
        return self.replay({_POLICY: name}, seed)[1]


def factory_of(policy: str) -> str:
    """The factory that a policy's name means: one of the relay's own, unless it has a colon."""
    return policy if ":" in policy else f"{HOME}{policy}"


_LABEL = re.compile(r"([A-Za-z][\w-]*)=(.+)")


def _labelled(typed: str) -> tuple[str, str]:
    """What a policy is called, and the policy: `LABEL=POLICY`, or its own name."""
    match = _LABEL.fullmatch(typed)
    label, policy = (None, typed) if match is None else match.groups()
    name = policy if policy.endswith(".toml") else factory_of(policy).removeprefix(HOME)
    return label or name, name


def load_comparison(
    name_or_path: str, policies: Sequence[str] | None, sets: Sequence[str] = (), settings: Iterable[str] = ()
) -> Comparison:
    """A scenario with each of the policies in it.

    Args:
        name_or_path: of the scenario, as `relaysim.scenarios.load.load` takes it.
        policies: names of the relay's own policies, `package.module:function`, or paths of policy files, which end in
            `.toml`, each as it is or as `LABEL=POLICY`; at least two, none twice under one name. None: `DEFAULTS`.
        sets: `PATH=VALUE` for all of them.
        settings: `POLICY.KEY=VALUE`, or `POLICY.workers[N].KEY=VALUE` for one group of workers.

    Raises:
        ScenarioError: with every problem that was found.
    """
    if policies is None:
        policies = DEFAULTS[load(name_or_path, sets, check_relay=False).api]
    labelled = [_labelled(policy) for policy in policies]
    names = [label for label, _ in labelled]
    problems = _wrong_names(names)
    own_sets, wrong = _own_sets(names, settings)
    if wrong:
        raise ScenarioError([*problems, *wrong])
    scenario = load(name_or_path, sets, check_relay=False)
    problems += _unknown_policies([policy for _, policy in labelled], scenario.api)
    if problems:
        raise ScenarioError(problems)
    refuse_strata(scenario)
    compared = []
    for label, name in labelled:
        try:
            found = _load_policy(name_or_path, scenario, name, sets, own_sets[label])
            compared.append(replace(found, name=label))
        except ScenarioError as error:
            problems += error.problems
    if problems:
        raise ScenarioError(list(dict.fromkeys(problems)))
    return Comparison(scenario, tuple(compared))


def _wrong_names(names: Sequence[str]) -> list[Problem]:
    twice = sorted({name for name in names if names.count(name) > 1})
    problems = [Problem("--policies", "", f"{name!r} is named twice") for name in twice]
    if len(names) < POLICIES_MIN:
        given = f"there is only {names[0]!r}" if names else "there is none"
        problems.append(Problem("--policies", "", f"a comparison needs at least two policies, {given}"))
    return problems


def _unknown_policies(policies: Sequence[str], api: str) -> list[Problem]:
    """A name without a colon that is none of the relay's own policies."""
    problems = []
    for policy in policies:
        if ":" in policy or policy.endswith(".toml") or apis_of(policy) is not None:
            continue
        known = did_you_mean(policy, policies_over(api), what=f"over {api} there are")
        suggestion = f"{known} (or MODULE:FUNCTION, or a policy file that ends in .toml)"
        problems.append(Problem(f"--policies {policy}", "", f"there is no policy {policy!r}", suggestion))
    return problems


def _own_sets(names: Sequence[str], settings: Iterable[str]) -> tuple[dict[str, list[str]], list[Problem]]:
    """What `--settings` says, as `PATH=VALUE` of the scenario, by policy."""
    own: dict[str, list[str]] = {name: [] for name in names}
    problems = []
    for typed in settings:
        # The longest name first: one policy's name may be the beginning of another's.
        setting = typed.removeprefix(HOME)
        name = next((each for each in sorted(names, key=len, reverse=True) if setting.startswith(f"{each}.")), None)
        rest = setting.removeprefix(f"{name}.")
        try:
            if name is None:
                suggestion = did_you_mean(setting.partition(".")[0], names, what="compared are")
                raise PathError(f"begins with no policy that is compared: write POLICY.KEY=VALUE; {suggestion}")
            parse_setting(rest)
        except PathError as error:
            problems.append(Problem(f"--settings {typed}", "", str(error)))
            continue
        group, dot, key = rest.partition("].")
        in_group = bool(dot) and group.startswith("workers[")
        own[name].append(f"{group}].settings.{key}" if in_group else f"relay.settings.{rest}")
    return own, problems


def _load_policy(
    name_or_path: str, scenario: Scenario, name: str, sets: Sequence[str], own_sets: Sequence[str]
) -> Compared:
    where = f"--policies {name}"
    if name.endswith(".toml"):
        return _load_policy_file(name_or_path, scenario, name, sets, own_sets)
    check_api(name, scenario, where)
    factory = factory_of(name)
    left_out: tuple[LeftOut, ...] = ()
    scenario_sets = list(sets)
    own = factory == scenario.relay.factory
    if not own:
        try:
            known = settings_named_by(resolve(factory))
        except FactoryError as error:
            sentence = str(error).removeprefix(f"factory {factory!r}: ")
            raise ScenarioError([Problem(where, "", sentence, page=POLICY)]) from error
        scenario_sets.append(f"{FACTORY_PATH}={factory}")
        implied = implied_settings(scenario, known)
        if scenario.relay.settings or implied:
            scenario_sets.append(f"relay.settings={toml_value(implied)}")
        more, left_out = known_group_settings(scenario, known)
        scenario_sets += more
    try:
        return Compared(name, load(name_or_path, [*scenario_sets, *own_sets]), own, left_out)
    except ScenarioError as error:
        # The scenario itself is right, so all that is wrong is this policy's.
        raise ScenarioError(
            [Problem(where, "", problem.message, problem.suggestion, problem.page) for problem in error.problems]
        ) from error


def _load_policy_file(
    name_or_path: str, scenario: Scenario, name: str, sets: Sequence[str], own_sets: Sequence[str]
) -> Compared:
    file = load_policy_file(name)
    check_api(file.policy, scenario, name)
    given_sets, left_out = policy_sets(file.policy, file.settings, scenario)
    return Compared(name, load(name_or_path, [*sets, *given_sets, *own_sets]), own=False, left_out=left_out)


# Running


def compare_policies(
    comparison: Comparison,
    *,
    code_version: str,
    replications: int | None = None,
    lane: Lane | None = None,
    jobs: int = 1,
    resamples: int = RESAMPLES,
    progress: Callable[[Progress], None] | None = None,
    observe: Observe | None = None,
) -> tuple[dict[str, Any], Cost]:
    """The content of `results.json`, and what it took.

    Args:
        comparison: as loaded.
        code_version: of what runs.
        replications: worlds per policy, instead of the scenario's own number.
        lane: instead of `Comparison.lane`.
        jobs: processes.
        resamples: of the bootstrap.
        progress: called as replications are done.
        observe: what runs a replication, see `run_batches`.

    Raises:
        ReplicationError, LostWorkerError: see `run_batches`.
    """
    scenario = comparison.scenario
    count = replications or scenario.replications
    lane = comparison.lane(lane)
    batches = [
        Batch(
            policy.name,
            policy.scenario.to_json(),
            count,
            lane,
            claims=(),
            rows=True,
            values=((_POLICY, policy.name),),
        )
        for policy in comparison.policies
    ]
    summaries, cost = run_batches(batches, jobs=jobs, progress=progress, observe=observe)
    worlds = {name: _worlds(summary) for name, summary in summaries.items()}
    measured, differences = measure_policies(
        worlds,
        against=comparison.against,
        key=scenario.hash,
        resamples=resamples,
        messages_max=scenario.workload.messages_max,
    )
    by_name = {policy.name: policy for policy in comparison.policies}
    results = {
        "schema": SCHEMA,
        "kind": KIND,
        "code_version": code_version,
        **scenario.identity(),
        "root_seed": scenario.root_seed,
        "profile": scenario.backend.name,
        "lane": lane,
        "replications": count,
        "confidence": rounded(1 - ALPHA),
        "resamples": resamples,
        "settings": dict(scenario.origin.settings),
        "against": comparison.against,
        "policies": [
            {**_entry(policy, summaries[policy.name]), **measured[policy.name]} for policy in comparison.policies
        ],
        "differences": [
            {
                "policy": name,
                "against": comparison.against,
                "measures": measures,
                "example": _example(by_name[name], by_name[comparison.against], worlds),
            }
            for name, measures in differences.items()
        ],
    }
    return results, cost


def _worlds(summary: Summary) -> PolicyWorlds:
    rows = [summary.rows[seed] for seed in sorted(summary.rows)]
    counts = {name: [row.counts[place] for row in rows] for place, name in enumerate(ROW_COUNTS)}
    return PolicyWorlds(counts, [row.reply_seconds for row in rows])


def _entry(policy: Compared, summary: Summary) -> dict[str, Any]:
    scenario = policy.scenario
    return {
        "policy": policy.name,
        "factory": scenario.relay.factory,
        "own": policy.own,
        "hash": scenario.hash,
        "fingerprint": summary.fingerprint,
        "settings": dict(scenario.relay.settings),
        "workers": [
            {"workers": workers, "settings": dict(settings)} for workers, settings in groups(scenario) if settings
        ],
        "left_out": [{"workers": each.workers, "settings": dict(each.settings)} for each in policy.left_out],
        "counts": dict(sorted(summary.counts.items())),
        **({"counters": counter_entries(summary.counters, scenario.counters)} if summary.counters else {}),
        "invariants": {name: tally.count for name, tally in sorted(summary.invariants.items())},
        "never_met": summary.never_met,
        "replay": _replay(policy),
    }


def _replay(policy: Compared) -> str:
    origin = policy.scenario.origin
    return replay_template(origin.given, settings=origin.settings)


def _example(policy: Compared, base: Compared, worlds: Mapping[str, PolicyWorlds]) -> dict[str, Any] | None:
    """The world in which most messages more, or fewer, failed than under the other policy; None if none differs."""
    failed = [worlds[each.name].counts["failed"] for each in (policy, base)]
    apart = [abs(first - second) for first, second in zip(*failed, strict=True)]
    seed = max(range(len(apart)), key=lambda each: (apart[each], -each))
    if not apart[seed]:
        return None
    return {
        "seed": seed,
        "failed": [numbers[seed] for numbers in failed],
        "replay": [_replay(each).replace("{seed}", str(seed)) for each in (policy, base)],
    }
