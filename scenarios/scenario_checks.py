"""What is checked of a scenario's document: tables, profile, references between tables, claims, and the relay."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from relaysim.reports.claim_kinds import ClaimKind, kind_named
from relaysim.reports.claims import REPLICATIONS, CounterBound, SeriesUpTo, detail_name
from relaysim.scenarios.docs_pages import FACTORY, PROFILE
from relaysim.scenarios.document import Document
from relaysim.scenarios.model import Scenario
from relaysim.scenarios.own_policies import HOME, mismatch, policies_over, untold
from relaysim.scenarios.problems import Problem, errors_of, not_finite, to_problems, told_with_their_api
from relaysim.scenarios.scenario_files import Reading, first_lower, shown_path
from relaysim.scenarios.system_errors import reason_of
from relaysim.sim.backends import BACKENDS, DEFAULT, backend_named
from relaysim.sim.backends.profile import ExtendsError, Profile, override, read_profile_table, shipped_profiles
from relaysim.sim.kernel import error_text, named
from relaysim.sim.kernel.distributions import Distribution
from relaysim.sim.validation_words import MISSING, Finding, Step, did_you_mean, format_path
from relaysim.sim.world import COUNTS, SERIES
from relaysim.sim.world.settings import PROVIDER_KINDS, WorldSettings

FACTORY_PATTERN = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"


_ALL_COUNTS = "`relaysim docs scenarios#what-claims-can-count` has all"


def validate(reading: Reading) -> Scenario | None:
    """The scenario of a document, if nothing is wrong with it. Adds to `problems`."""
    document = reading.document
    profile = _resolve_profile(reading)
    findings = list(not_finite({key: value for key, value in document.items() if key != "profile"}))
    if "backend" in document:
        findings.append(Finding(("backend",), "unknown key", "the profile is named by `profile`"))
    stand_in = profile if profile is not None else _any_profile(document.get("api", DEFAULT))
    findings += errors_of(Scenario, {**document, "backend": stand_in}, document)
    findings += _wrong_references(document, findings, stand_in)
    findings += _wrong_claims(document)
    if not reading.complete:
        # What is missing may well stand in the file that could not be read.
        findings = [finding for finding in findings if finding.message != MISSING]
    reading.problems += to_problems(findings, reading.file_of)
    if reading.problems or profile is None:
        return None
    return Scenario.model_validate({**document, "backend": profile})


def _any_profile(api: Any) -> Profile:
    """Something to check the rest of a scenario with, of the kind that its API has."""
    model = backend_named(api).profile if isinstance(api, str) and api in BACKENDS else Profile
    return model.model_validate(read_profile_table("claimed"))


def _resolve_profile(reading: Reading) -> Profile | None:
    document = reading.document
    named, overrides = document.get("profile"), document.get("profile_overrides", {})
    if not isinstance(named, str) or not named or not isinstance(overrides, dict):
        return None  # the scenario's own model says what is wrong
    as_typed = {key: value for key, value in overrides.items() if not isinstance(value, dict)}
    api = document.get("api", DEFAULT)
    model = backend_named(api).profile if api in BACKENDS else Profile  # the scenario's own model says what is wrong
    overrides = {key: constant_seconds(key, value, model) for key, value in overrides.items()}
    file, _ = reading.file_of(("profile",))
    try:
        table = read_profile_table(named)
    except FileNotFoundError:
        if named.endswith(".toml"):
            reading.problems.append(
                Problem(file, "profile", f"there is no file {shown_path(Path(named))}", page=PROFILE)
            )
        else:
            sentence = did_you_mean(named, shipped_profiles(), what="shipped are")
            message = f"there is no profile {named!r}"
            reading.problems.append(
                Problem(file, "profile", message, f"{sentence} (or give a path that ends in .toml)", PROFILE)
            )
        _check_profile(reading, model, read_profile_table("claimed"), overrides, as_typed, None)
        return None
    except (OSError, UnicodeDecodeError) as error:
        reading.problems.append(
            Problem(file, "profile", f"{shown_path(Path(named))} cannot be read: {reason_of(error)}", page=PROFILE)
        )
        return None
    except tomllib.TOMLDecodeError as error:
        reading.problems.append(
            Problem(shown_path(Path(named)), "", f"is no TOML: {first_lower(str(error))}", page=PROFILE)
        )
        return None
    except ExtendsError as error:
        reading.problems.append(Problem(file, "profile", str(error), page=PROFILE))
        return None
    where = f"profile {named}" if not named.endswith(".toml") else shown_path(Path(named))
    return _check_profile(reading, model, table, overrides, as_typed, where)


def _check_profile(
    reading: Reading,
    model: type[Profile],
    table: Mapping[str, Any],
    overrides: Mapping[str, Any],
    as_typed: Mapping[str, Any],
    where: str | None,
) -> Profile | None:
    """The profile, overridden, if it is right. `where` names it; None: only the overrides are looked at."""
    merged = override(table, overrides)
    findings = [*not_finite(merged), *told_with_their_api(errors_of(model, merged, {**merged, **as_typed}), model)]
    unknown = any(key not in model.model_fields for key in overrides)
    for finding in findings:
        if unknown and finding.steps == ("basis",):
            continue  # says of the unknown key that it has a basis
        if finding.steps and finding.steps[0] in overrides:
            moved = finding._replace(steps=("profile_overrides", *finding.steps))
            reading.problems += to_problems([moved], reading.file_of)
        elif where is not None:
            place = format_path(finding.steps)
            reading.problems.append(Problem(where, place, finding.message, finding.suggestion, PROFILE))
    return None if findings else model.model_validate(merged)


def constant_seconds(key: str, value: Any, model: type[Profile]) -> Any:
    """A number in place of a distribution of seconds is always that long, as everywhere in a scenario."""
    field = model.model_fields.get(key)
    of_seconds = field is not None and field.annotation in (Distribution, Distribution | None, _bare(Distribution))
    if of_seconds and isinstance(value, (int, float)) and not isinstance(value, bool):
        return {"kind": "constant", "value": value}
    return value


def _bare(annotated: Any) -> Any:
    return annotated.__origin__


def _wrong_references(document: Document, findings: Sequence[Finding], profile: Profile) -> list[Finding]:
    """What tables say about each other, checked on those that are right in themselves."""
    wrong = {str(finding.steps[0]) for finding in findings if finding.steps}
    names = ("api", "workers", "workload", "schedule", "host_faults", "liveness", "limit_seconds", "strata")
    tables = {name: document[name] for name in names if name in document and name not in wrong}
    if "workload" not in tables:
        return []
    probe = {**tables, "profile": profile, "relay": {"factory": "relaysim.relay:any"}}
    return errors_of(WorldSettings, probe, probe)


def _wrong_claims(document: Document) -> list[Finding]:
    """Ids that are there twice, events that nobody counts, and maps of claims that are not there.

    A claim is not blamed for a counter whose name is wrong: that is told of the counter.
    """
    claims, own = document.get("claims"), _counters_of(document)
    tables = [each if isinstance(each, dict) else {} for each in claims] if isinstance(claims, list) else []
    findings = [
        Finding(("counters", index, "name"), f"{name!r} is counted in every world", "give the counter another name")
        for index, name in own
        if _is_taken(name)
    ]
    counters = [name for _, name in own if not _is_taken(name) and _NAME_OF_COUNTER.fullmatch(name)]
    misnamed = {name for _, name in own} - {*counters}
    some_have_no_name = "counters" in document and len(own) != _entries_of(document["counters"])
    ids: list[Any] = []
    for index, claim in enumerate(tables):
        identifier = claim.get("id")
        if identifier is not None and identifier in ids:
            findings.append(
                Finding(("claims", index, "id"), f"{identifier!r} is the id of claims[{ids.index(identifier)}], too")
            )
        ids.append(identifier)
        event, among, where = (
            None if isinstance(each, str) and _counter_in(each) in misnamed else each
            for each in (claim.get("event"), claim.get("among"), claim.get("where"))
        )
        if some_have_no_name and isinstance(event, str) and _counter_in(event) not in (*COUNTS, *SERIES, *counters):
            event = None
        kind = kind_named(claim.get("kind"))
        known, what = (SERIES, "series") if kind and kind.reads_series else ([*COUNTS, *counters], "count")
        bound = CounterBound.of(event) if isinstance(event, str) else None
        if isinstance(event, str) and kind and not kind.reads_series and detail_name(event) in counters:
            findings += _wrong_counter(("claims", index), event, among, kind)
            event = None
        elif bound is not None and bound.is_over and bound.counter not in SERIES:
            suggestion = (
                did_you_mean(bound.counter, counters, what="there are") if counters else "define it in [[counters]]"
            )
            findings.append(Finding(("claims", index, "event"), f"there is no counter {bound.counter!r}", suggestion))
            event = None
        up_to = SeriesUpTo.of(event) if isinstance(event, str) else None
        if kind and up_to is not None and not kind.reads_series:
            findings += _wrong_series(("claims", index), up_to, among)
        elif kind and isinstance(event, str) and event not in known:
            suggestion = did_you_mean(event, [*known], what="there are", everything=_ALL_COUNTS)
            if any(re.match(rf"{name}\b", event) for name in SERIES) and not kind.reads_series:
                suggestion = "a series is counted up to a bound, as `reply_seconds <= 20`, with the number alone"
            findings.append(Finding(("claims", index, "event"), f"there is no {what} {event!r}", suggestion))
        if isinstance(among, str) and among != REPLICATIONS and among not in COUNTS:
            suggestion = did_you_mean(among, [*COUNTS, REPLICATIONS], what="there are", everything=_ALL_COUNTS)
            if among in counters:
                suggestion = "a counter cannot be the trials; name messages, or leave `among` out for worlds"
            findings.append(Finding(("claims", index, "among"), f"there is no count {among!r}", suggestion))
        if isinstance(where, str) and where and where not in COUNTS and where not in counters:
            suggestion = did_you_mean(where, [*COUNTS, *counters], what="there are", everything=_ALL_COUNTS)
            findings.append(Finding(("claims", index, "where"), f"there is no count {where!r}", suggestion))
    findings += _wrong_in_strata(document, tables)
    known_ids = [each for each in ids if isinstance(each, str)]
    for steps, name in _claims_named(document):
        if name not in known_ids:
            suggestion = did_you_mean(name, known_ids, what="there are")
            findings.append(Finding(steps, f"there is no claim {name!r}", suggestion))
    return findings


_NAME_OF_COUNTER = re.compile(r"[a-z][a-z0-9_]*")


def _is_taken(name: str) -> bool:
    """Whether every world counts something of this name."""
    return name in COUNTS or name in SERIES or name == REPLICATIONS


def _counter_in(event: str) -> str:
    """The counter that an event may be about: all of it, or what stands before a bound."""
    return re.split(r" *(?:<=|>)", event, maxsplit=1)[0]


def _entries_of(tables: object) -> int:
    """How many counters a document has, if it is a list of them; else -1."""
    return len(tables) if isinstance(tables, list) else -1


def _counters_of(document: Document) -> list[tuple[int, str]]:
    """The places and names of the scenario's own counters."""
    tables = document.get("counters")
    named = (
        [(index, each.get("name")) for index, each in enumerate(tables) if isinstance(each, dict)]
        if isinstance(tables, list)
        else []
    )
    return [(index, name) for index, name in named if isinstance(name, str)]


def _wrong_counter(steps: tuple[Step, ...], event: str, among: object, kind: ClaimKind) -> list[Finding]:
    """What is wrong with a claim about a counter, or about the messages with so many of it."""
    if CounterBound.of(event) is not None:
        if among == "messages" or (kind.is_about_occurrence and among in (None, REPLICATIONS)):
            return []
        if isinstance(among, str) and among != REPLICATIONS and among not in COUNTS:
            return []  # there is no such count, which is told
        return [Finding((*steps, "among"), f'must be "messages" where the event is {event}, which counts messages')]
    if kind.is_about_occurrence or among in (None, REPLICATIONS):
        return []
    suggestion = f"count the messages that had it, as `{event} > 0`, or leave `among` out for the worlds that had it"
    return [Finding((*steps, "event"), f"{event!r} may happen several times in a message", suggestion)]


def _wrong_series(steps: tuple[Step, ...], up_to: SeriesUpTo, among: object) -> list[Finding]:
    """What is wrong with an event that counts a series' values up to a bound."""
    if up_to.series not in SERIES:
        suggestion = did_you_mean(up_to.series, [*SERIES], what="there are")
        return [Finding((*steps, "event"), f"there is no series {up_to.series!r}", suggestion)]
    if among in (None, REPLICATIONS):
        told = f'`among` must say which values there could be, such as "messages", where the event is {up_to.series} <= ...'
        return [Finding((*steps, "among"), told)]
    return []


def _wrong_in_strata(document: Document, claims: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """What cannot be weighed stratum by stratum."""
    strata = document.get("strata")
    if not isinstance(strata, dict) or strata.get("enabled", True) is not True:
        return []
    findings = []
    for index, claim in enumerate(claims):
        kind = kind_named(claim.get("kind"))
        if kind and kind.reads_series:
            message = "with strata, a claim is about how often something happens, not about values"
            findings.append(Finding(("claims", index, "kind"), message, "or set strata.enabled = false"))
        elif claim.get("among", REPLICATIONS) != REPLICATIONS:
            message = "with strata, the trials of a claim are whole replications"
            findings.append(Finding(("claims", index, "among"), message, f"leave it out, or write {REPLICATIONS!r}"))
        elif claim.get("where"):
            message = "with strata, every replication is a trial"
            findings.append(Finding(("claims", index, "where"), message, "leave it out, or set strata.enabled = false"))
    for name in ("map", "curve"):
        if isinstance(document.get(name), dict):
            message = "a scenario with strata has no map and no curve"
            findings.append(Finding((name,), message, "or set strata.enabled = false"))
    return findings


def _claims_named(document: Document) -> list[tuple[tuple[Step, ...], str]]:
    named: list[tuple[tuple[Step, ...], str]] = []
    plan, curve = document.get("map"), document.get("curve")
    if isinstance(plan, dict) and isinstance(plan.get("claims"), list):
        named += [(("map", "claims", index), name) for index, name in enumerate(plan["claims"])]
    if isinstance(curve, dict):
        named.append((("curve", "claim"), curve.get("claim", "")))
    return [(steps, name) for steps, name in named if isinstance(name, str) and name]


def has_its_provider(reading: Reading) -> bool:
    """Whether somebody delivers webhooks to the relay, if it is a web application. Said before it is imported: what such an
    application wants of its environment is what its provider gives."""
    if not reading.names_application or "provider" in reading.document:
        return True
    file, steps = reading.file_of(("relay", "factory"))
    message = "a web application gets the webhooks of a provider, and none is named"
    suggestion = f'add --provider KIND, or [provider] kind = "KIND" to the scenario (KIND: {", ".join(PROVIDER_KINDS)})'
    reading.problems.append(Problem(file, format_path(steps), message, suggestion))
    return False


def check_factory(reading: Reading, scenario: Scenario | None) -> None:
    """Whether the factory is there to be called. The scenario says in which environment, if it is right in itself."""
    from relaysim.sim.kernel import SimulatorError
    from relaysim.sim.world import FactoryError, resolve

    relay = reading.document.get("relay")
    name = relay.get("factory") if isinstance(relay, dict) else None
    if not isinstance(name, str) or not re.match(FACTORY_PATTERN, name):
        return  # the model says what is wrong
    if scenario is None and {"provider", "environment"} & reading.document.keys():
        return  # what it needs to be imported may be what is wrong
    try:
        if scenario is None:
            resolve(name)
        else:
            resolve(name, scenario.world_settings().variables, scenario.relay.libraries)
    except SimulatorError:
        pass  # a module that asks a service while it is loaded is looked at where there is one: in a world
    except FactoryError as error:
        file, steps = reading.file_of(("relay", "factory"))
        message = str(error).removeprefix(f"factory {name!r}: ")
        reading.problems.append(
            Problem(file, format_path(steps), message, page=FACTORY if reading.factory is not None else "")
        )


def check_speaks(scenario: Scenario, reading: Reading) -> None:
    """Whether one of the relay's own policies speaks the scenario's API, before it fails over another one's client."""
    factory = scenario.relay.factory
    if not factory.startswith(HOME):
        return
    policy = factory.removeprefix(HOME)
    wrong, steps = mismatch(policy, scenario.api), ("relay", "factory")
    if wrong is not None:
        one = f"--factory {HOME}{policies_over(scenario.api)[0]}"
        wrong = wrong._replace(suggestion=f"{wrong.suggestion}; put one in with {one}")
    else:
        wrong, steps = untold(policy, scenario.relay.settings, scenario.api), ("relay", "settings")
    if wrong is not None:
        file, steps_there = reading.file_of(steps)
        reading.problems.append(Problem(file, format_path(steps_there), *wrong))


def check_relay_builds(scenario: Scenario, reading: Reading) -> None:
    """Build one world as every replication will, and stop it before anything happens."""
    from relaysim.sim.trace.schema import Printed
    from relaysim.sim.world import Session, TargetError, World
    from relaysim.sim.world.factories import printed_words
    from relaysim.sim.world.judge.promises import PromisesError

    file, steps = reading.file_of(("relay", "factory"))
    where = format_path(steps)
    settings = scenario.world_settings().model_copy(update={"limit_seconds": 2.0**-20})
    world = World(settings, scenario.root_seed, 0, scenario.lane)
    try:
        with Session() as session:
            session.run(world)
    except TargetError as error:
        reading.problems.append(Problem(file, where, str(error)))
    except PromisesError as error:
        reading.problems += [
            Problem(file, where, f"{scenario.relay.factory} declares {line}") for line in str(error).splitlines()
        ]
    except Exception as error:
        printed = [each.fields.text for each in world.kernel.trace.records if isinstance(each.fields, Printed)]
        message = _words(error).removeprefix(f"factory {scenario.relay.factory!r}: ") + printed_words(printed)
        if scenario.relay.settings or any(each.settings for each in scenario.workers):
            message = f"{scenario.relay.factory} cannot be built with these settings: {message}"
            _complain_of_settings(reading, message, file)
        else:
            message = f"{scenario.relay.factory} cannot be built: {message}"
            reading.problems.append(Problem(file, where, message))


def _words(error: BaseException) -> str:
    return error_text(error) if isinstance(error, ValueError) else named(error)


def _complain_of_settings(reading: Reading, message: str, file: str) -> None:
    typed = [setting for path, setting in reading.sets.items() if path.startswith(("relay.", "workers"))]
    reading.problems.append(Problem(f"--set {typed[0]}" if len(typed) == 1 else file, "relay.settings", message))
