"""From a name or a path to a checked scenario, or to everything that is wrong with it, in one message.

    scenario = load("race", sets=["relay.settings.first_wait_seconds=1"])

A file goes through: reading; `extends`; `--factory`; `--set`; the models; the profile; references between the tables;
the claims; and at last one world that is built and stopped at once, so that a relay which cannot be built with these
settings is found here. Each step goes on as far as it can, so that one look shows all mistakes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from relaysim.reports.claim_kinds import CLAIM_KINDS
from relaysim.reports.results import FactoryOption
from relaysim.scenarios.another_relay import (
    claims_on_any_relay,
    is_somebodys_own,
    leave_out_its_settings,
    with_what_is_owed,
)
from relaysim.scenarios.docs_pages import SCENARIO
from relaysim.scenarios.document import PathError, drop, extend, parse_setting, set_value
from relaysim.scenarios.model import Origin, Scenario
from relaysim.scenarios.problems import Problem, ScenarioError
from relaysim.scenarios.scenario_checks import (
    check_factory,
    check_relay_builds,
    check_speaks,
    has_its_provider,
    validate,
)
from relaysim.scenarios.scenario_files import Reading, SourceFile, read_chain

#: How often a scenario runs another relay that --factory puts in, unless told otherwise.
_FACTORY_REPLICATIONS = 60
_FACTORY_REPLICATIONS_OF_BURSTS = 10

_REPEATS = 0.1
_SEVERAL = 0.1
"""Shares of messages that say the same as the one before, and that come in one request with the next one, where the provider
does so: what public bots overlook, and providers and customers do."""

_KINDS_OF_OCCURRENCE = frozenset(name for name, kind in CLAIM_KINDS.items() if kind.is_about_occurrence)


def load(
    name_or_path: str,
    sets: Iterable[str] = (),
    factory: str | None = None,
    *,
    option: FactoryOption = "--factory",
    check_relay: bool = True,
) -> Scenario:
    """A shipped scenario by its name, or one from a file.

    Args:
        name_or_path: a shipped name, or a path (whatever ends in `.toml` or has a slash).
        sets: `PATH=VALUE`, each a dotted path into the scenario and a TOML value (or else a string).
        factory: another relay in place of the scenario's. The scenario's settings for its own relay, the workers'
            included, are then left out, and only claims of scope `any` are judged, all expected to be verified.
        option: by which name it was put in; with `--app` the scenario must have a provider.
        check_relay: whether to import the factory and build one world with it.

    Raises:
        ScenarioError: with every problem that was found.
    """
    reading = Reading(name_or_path)
    read_chain(reading)
    if not reading.files:
        raise reading.refused()
    _put_factory_in(reading, factory, option)
    _apply_sets(reading, sets)
    _let_provider_batch(reading)
    _leave_rates_out(reading.document)
    _let_go_of_absent_workers(reading)
    scenario = validate(reading)
    if check_relay and has_its_provider(reading):
        check_factory(reading, scenario)
    if scenario is not None and not reading.problems:
        scenario = _with_origin(scenario, reading)
        _check_axes(scenario, reading)
        if check_relay:
            check_speaks(scenario, reading)
        if check_relay and not reading.problems:
            check_relay_builds(scenario, reading)
    if scenario is None or reading.problems:
        raise reading.refused()
    return scenario


def load_all(
    names_or_paths: Sequence[str],
    sets: Sequence[str] = (),
    factory: str | None = None,
    option: FactoryOption = "--factory",
) -> list[Scenario]:
    """Several scenarios, or a ScenarioError with the problems of all of them."""
    return load_each(names_or_paths, [sets] * len(names_or_paths), factory, option)


def load_each(
    names_or_paths: Sequence[str],
    sets: Sequence[Sequence[str]],
    factory: str | None = None,
    option: FactoryOption = "--factory",
) -> list[Scenario]:
    """Several scenarios, each with its own `sets`, or a ScenarioError with the problems of all of them."""
    from relaysim.sim.world import Session

    scenarios: list[Scenario] = []
    problems: list[Problem] = []
    with Session() if len(names_or_paths) > 1 else nullcontext():  # each one's relay is built, to see that it can be
        for name, its_sets in zip(names_or_paths, sets, strict=True):
            try:
                scenarios.append(load(name, its_sets, factory, option=option))
            except ScenarioError as error:
                problems += error.problems
    seen: dict[str, str] = {}
    for scenario in scenarios:
        if (other := seen.setdefault(scenario.name, scenario.origin.given)) != scenario.origin.given:
            problems.append(
                Problem(scenario.origin.given, "name", f"{scenario.name!r} is the name of {other}, too", page=SCENARIO)
            )
    if problems:
        raise ScenarioError(list(dict.fromkeys(problems)))
    return scenarios


def variant(scenario: Scenario, values: Mapping[str, Any]) -> Scenario:
    """The same scenario with other values at some dotted paths, for the cells of a map. Raises ScenarioError."""
    origin = scenario.origin
    reading = Reading(origin.given, [SourceFile(origin.given, Path(), origin.document)])
    reading.factory, reading.option = origin.factory, origin.option
    reading.document = dict(extend({}, origin.document))
    for path, value in values.items():
        _set(reading, path, value, f"{path}={value}")
    made = validate(reading)
    if made is None or reading.problems:
        raise reading.refused()
    return _with_origin(made, reading)


def _with_origin(scenario: Scenario, reading: Reading) -> Scenario:
    scenario._origin = Origin(
        reading.given,
        reading.document,
        tuple(file.path for file in reading.files),
        tuple(reading.sets.values()),
        reading.factory,
        {typed.partition("=")[0].strip(): typed.partition("=")[2] for typed in reading.sets.values()},
        reading.option,
    )
    return scenario


# What the command line puts in


def _put_factory_in(reading: Reading, factory: str | None, option: FactoryOption) -> None:
    if factory is None:
        return
    reading.option = option
    document = reading.document
    leave_out_its_settings(document)
    document["relay"] = {**document["relay"], "factory": factory}
    claims = document.get("claims", [])
    if isinstance(claims, list):
        document["claims"] = with_what_is_owed(claims_on_any_relay(claims), document)
    for block in ("map", "curve", "variant", "check_lanes"):
        document.pop(block, None)
    # A relay that nobody here has seen may call anything, so it runs on the SDK itself, as often as that lane affords.
    # And it may do anything to what customers write, so they write as people do: now and then the same again, too.
    document["lane"] = "sdk"
    workload = document.get("workload")
    if isinstance(workload, dict):
        document["workload"] = workload = {"texts": "varied", "repeats_probability": _REPEATS, **workload}
    most = (
        _FACTORY_REPLICATIONS_OF_BURSTS
        if isinstance(workload, dict) and "bursts" in workload
        else _FACTORY_REPLICATIONS
    )
    if isinstance(given := document.get("replications"), int):
        document["replications"] = min(given, most)
    reading.factory = factory


def _apply_sets(reading: Reading, sets: Iterable[str]) -> None:
    for typed in sets:
        try:
            path, value = parse_setting(typed)
        except PathError as error:
            reading.problems.append(Problem(f"--set {typed}", "", str(error)))
            continue
        _set(reading, path, value, typed)
        claims = reading.document.get("claims")
        if path == "relay.factory" and isinstance(value, str) and is_somebodys_own(value) and isinstance(claims, list):
            reading.document["claims"] = with_what_is_owed(claims, reading.document)
    drop(reading.document)


def _let_provider_batch(reading: Reading) -> None:
    """A relay that --factory or --app puts in meets what its provider does: several messages in one request."""
    provider = reading.document.get("provider")
    if reading.factory is not None and isinstance(provider, dict) and provider.get("kind") == "whatsapp":
        reading.document["provider"] = {"several_share": _SEVERAL, **provider}


def _let_go_of_absent_workers(reading: Reading) -> None:
    """Where `--set` leaves fewer workers than the scenario has, the messages of those that are gone go to any."""
    groups, workload = reading.document.get("workers"), reading.document.get("workload")
    fewer = any(path.startswith("workers") for path in reading.sets)
    if not fewer or not isinstance(groups, list) or not isinstance(workload, dict):
        return
    counts = [group.get("count", 1) if isinstance(group, dict) else None for group in groups]
    messages = workload.get("messages")
    if not all(type(count) is int for count in counts) or not isinstance(messages, list):
        return  # the model says what is wrong
    there = sum(count for count in counts if count is not None)
    for message in messages:
        if isinstance(message, dict) and type(message.get("worker")) is int and message["worker"] > there:
            del message["worker"]


def _leave_rates_out(document: dict[str, Any]) -> None:
    """Worlds that a strategy draws are no sample of production: of the claims they can judge those about an occurrence."""
    if document.get("strategy", "independent") == "independent":
        return
    claims = document.get("claims")
    if isinstance(claims, list):
        document["claims"] = [
            claim
            for claim in claims
            if not isinstance(claim, dict) or claim.get("kind", "never") in _KINDS_OF_OCCURRENCE
        ]
    for block in ("map", "curve"):
        document.pop(block, None)


def _set(reading: Reading, path: str, value: Any, typed: str) -> None:
    try:
        set_value(reading.document, path, value)
    except PathError as error:
        reading.problems.append(Problem(f"--set {typed}", "", str(error)))
    else:
        reading.sets[path] = typed


def _check_axes(scenario: Scenario, reading: Reading) -> None:
    """Every value of a map or a curve must make a scenario."""
    axes = []
    if scenario.map is not None:
        axes += [("map.x", scenario.map.x), ("map.y", scenario.map.y)]
    if scenario.curve is not None:
        axes.append(("curve.x", scenario.curve.x))
    for where, axis in axes:
        for value in axis.values:
            try:
                variant(scenario, {axis.path: value})
            except ScenarioError as error:
                for problem in error.problems:
                    sentence = f"{axis.path} = {value:g} makes no scenario: {problem.message}"
                    block = where.partition(".")[0]
                    suggestion = problem.suggestion
                    if reading.sets:
                        away = f"take the {block} away with --set {block}.drop=true"
                        suggestion = f"{suggestion} (or {away})" if suggestion else away
                    reading.complain(sentence, suggestion, path=where)
                break
