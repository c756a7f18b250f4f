"""A policy in place of the scenario's own relay: which settings go with it, and policies from a file.

    (scenario,) = load_all_with_policy(["incident"], "policy.toml")

Settings belong to the relay that they were written for, so the scenario's are left out; those of a group of workers
(another lock key, say) are part of what happens in the scenario, and stay where the policy knows them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Unpack, get_args, get_origin, get_type_hints, is_typeddict

from relaysim.scenarios.docs_pages import POLICY
from relaysim.scenarios.load import load, load_each
from relaysim.scenarios.model import Scenario
from relaysim.scenarios.own_policies import HOME, mismatch
from relaysim.scenarios.problems import Problem, ScenarioError
from relaysim.scenarios.toml_text import toml_value
from relaysim.sim.backends import DEFAULT
from relaysim.sim.world import resolve

if TYPE_CHECKING:
    from relaysim.relay import PolicyFile

_CLIENTS = 3  # a factory's first parameters: the two clients and `send`
FACTORY_PATH = "relay.factory"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Settings of a group of workers that a policy does not know: of which workers, and the settings."""

    workers: str
    settings: Mapping[str, Any]


def load_policy_file(path: str) -> PolicyFile:
    """A policy file. Raises ScenarioError with all that is wrong with it."""
    from relaysim.relay import PolicyFileError, load_policy

    try:
        return load_policy(path)
    except PolicyFileError as error:
        problems = [problem.removeprefix(f"{path}: ") for problem in error.problems]
        raise ScenarioError([Problem(path, "", problem, page=POLICY) for problem in problems]) from error


def policy_sets(policy: str, settings: Mapping[str, Any], scenario: Scenario) -> tuple[list[str], tuple[LeftOut, ...]]:
    """What to set so that one of the relay's own policies runs in a scenario, and what is then left out.

    Args:
        policy: its name.
        settings: the settings that it gets, in place of the scenario's for its own relay.
        scenario: loaded, `check_relay=False` will do.
    """
    factory = f"{HOME}{policy}"
    known = settings_named_by(resolve(factory))
    more, left_out = known_group_settings(scenario, known)
    given = {**implied_settings(scenario, known), **settings}
    return [f"{FACTORY_PATH}={factory}", f"relay.settings={toml_value(given)}", *more], left_out


def implied_settings(scenario: Scenario, known: frozenset[str]) -> dict[str, Any]:
    """What a policy that knows these settings must have in a scenario: one that speaks several APIs is told which."""
    return {"api": scenario.api} if "api" in known and scenario.api != DEFAULT else {}


def check_api(policy: str, scenario: Scenario, where: str) -> None:
    """Refuse one of the relay's own policies on an API that it does not speak: it would look like one that loses all.

    Raises:
        ScenarioError: naming `where`, the option or file that names the policy.
    """
    wrong = mismatch(policy, scenario.api)
    if wrong is not None:
        raise ScenarioError([Problem(where, "", *wrong)])


def load_all_with_policy(names_or_paths: Sequence[str], path: str, sets: Sequence[str] = ()) -> list[Scenario]:
    """Scenarios with the policy of a file in place of their relay; `sets` come after it.

    Their claims, and the verdicts that are expected, stay as they are. Raises ScenarioError with the problems of all.
    """
    policy = load_policy_file(path)
    own: list[list[str]] = []
    problems: list[Problem] = []
    for name in names_or_paths:
        try:
            own.append(sets_with_policy(name, policy, sets))
        except ScenarioError as error:
            problems += error.problems
    if problems:
        raise ScenarioError(list(dict.fromkeys(problems)))
    return load_each(names_or_paths, own)


def sets_with_policy(name_or_path: str, policy: PolicyFile, sets: Sequence[str]) -> list[str]:
    """What to set so that a scenario's relay is the policy of a file, with `sets` after it.

    Raises ScenarioError if there is no such scenario.
    """
    scenario = load(name_or_path, sets, check_relay=False)
    check_api(policy.policy, scenario, str(policy.path))
    policy_settings, _ = policy_sets(policy.policy, policy.settings, scenario)
    return [*policy_settings, *sets]


def known_group_settings(scenario: Scenario, known: frozenset[str]) -> tuple[list[str], tuple[LeftOut, ...]]:
    """What to set so that each group of workers has the settings that are known, and what is then left out."""
    sets, left_out = [], []
    for index, (workers, settings) in enumerate(groups(scenario)):
        unknown = {key: value for key, value in settings.items() if key not in known}
        if unknown:
            kept = {key: value for key, value in settings.items() if key in known}
            sets.append(f"workers[{index}].settings={toml_value(kept)}")
            left_out.append(LeftOut(workers, unknown))
    return sets, tuple(left_out)


def groups(scenario: Scenario) -> list[tuple[str, Mapping[str, Any]]]:
    """The workers of each group, as traces call them, and the group's settings."""
    found: list[tuple[str, Mapping[str, Any]]] = []
    first = 1
    for group in scenario.workers:
        last = first + group.count - 1
        found.append((f"w{first}" if first == last else f"w{first} to w{last}", group.settings))
        first = last + 1
    return found


def settings_named_by(factory: Callable[..., Any]) -> frozenset[str]:
    """The settings that a factory names: parameters after the clients and `send`, and keys of `Unpack[TypedDict]`.

    A factory that takes any keyword without naming it names none.
    """
    try:
        parameters = list(inspect.signature(factory).parameters.values())
    except (TypeError, ValueError):  # some callables of C extensions
        return frozenset()
    named = {
        each.name
        for position, each in enumerate(parameters)
        if each.kind is each.KEYWORD_ONLY or (each.kind is each.POSITIONAL_OR_KEYWORD and position >= _CLIENTS)
    }
    for each in parameters:
        if each.kind is each.VAR_KEYWORD:
            named |= _keys_of(factory, each)
    return frozenset(named)


def _keys_of(factory: Callable[..., Any], keywords: inspect.Parameter) -> set[str]:
    """The keys of the TypedDict that a `**keywords` unpacks."""
    function = factory.__init__ if inspect.isclass(factory) else factory
    # This one annotation alone: others may be such as only a type checker can read.
    holder = SimpleNamespace(__annotations__={keywords.name: keywords.annotation})
    try:
        hint = get_type_hints(holder, getattr(inspect.unwrap(function), "__globals__", {})).get(keywords.name)
    except (NameError, TypeError, AttributeError, SyntaxError):
        return set()
    if get_origin(hint) is not Unpack:
        return set()
    (table,) = get_args(hint)
    return set(table.__required_keys__ | table.__optional_keys__) if is_typeddict(table) else set()
