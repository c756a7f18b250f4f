"""From a name or a path to a checked scenario, or to everything that is wrong with it, in one message.

    scenario = load("race", sets=["relay.settings.first_wait_seconds=1"])

A file goes through: reading; `extends`; `--factory`; `--set`; the models; the profile; references between the tables;
the claims; and at last one world that is built and stopped at once, so that a relay which cannot be built with these
settings is found here. Each step goes on as far as it can, so that one look shows all mistakes.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from relaysim.reports.claims import REPLICATIONS, Kind
from relaysim.scenarios.document import (
    Document,
    PathError,
    Step,
    drop,
    extend,
    format_path,
    parse_path,
    parse_setting,
    set_value,
)
from relaysim.scenarios.model import Origin, Scenario
from relaysim.scenarios.problems import (
    MISSING,
    Finding,
    Problem,
    ScenarioError,
    did_you_mean,
    errors_of,
    not_finite,
    shown,
    to_problems,
)
from relaysim.sim.kernel.distributions import Distribution
from relaysim.sim.openai.profile import Profile, override, read_profile_table, shipped_profiles
from relaysim.sim.world import COUNTS, SERIES
from relaysim.sim.world.settings import WorldSettings

SHIPPED_FOLDER = Path(__file__).parent / "shipped"

#: The shipped scenarios in the order in which the incident is told.
INCIDENT = (
    "race",
    "stuck_run",
    "persistent_failure",
    "rapid_pair",
    "incident",
    "incident_typical",
    "peak_hour_before",
    "peak_hour",
    "stuck_run_cancel_raises",
    "race_cancel_without_thread_id",
)

EXTENDS_MAX = 10

#: How often a scenario runs another relay that --factory puts in, unless told otherwise.
_FACTORY_REPLICATIONS = 60
_FACTORY_REPLICATIONS_OF_BURSTS = 10
FACTORY_PATTERN = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"


def shipped() -> tuple[str, ...]:
    """The names that `load` knows without a path: the incident's in their order, then any others by name."""
    names = {path.stem for path in SHIPPED_FOLDER.glob("*.toml")}
    return (*(name for name in INCIDENT if name in names), *sorted(names - set(INCIDENT)))


@dataclass(slots=True)
class _File:
    """One file of an `extends` chain."""

    shown: str
    path: Path
    document: Document


@dataclass(slots=True)
class _Reading:
    """A scenario on its way from files to a model, with what was found wrong so far."""

    given: str
    files: list[_File] = field(default_factory=list)  # the one that was asked for first, then what it extends
    document: Document = field(default_factory=dict)
    sets: dict[str, str] = field(default_factory=dict)  # path -> the setting as typed
    factory: str | None = None
    problems: list[Problem] = field(default_factory=list)
    complete: bool = True  # whether all that it extends could be read

    @property
    def shown(self) -> str:
        return self.files[0].shown if self.files else self.given

    def complain(self, message: str, suggestion: str = "", path: str = "") -> None:
        self.problems.append(Problem(self.shown, path, message, suggestion))

    def file_of(self, steps: Sequence[Step]) -> tuple[str, Sequence[Step]]:
        """Which file, or which option, says what lies at a place of the merged document; and the place there."""
        for path, typed in self.sets.items():
            set_steps = parse_path(path)
            if list(steps[: len(set_steps)]) == set_steps:
                return f"--set {typed}", steps
        if self.factory is not None and tuple(steps) == ("relay", "factory"):
            return f"--factory {self.factory}", ()
        if tuple(steps) == ("name",):
            return self.shown, steps  # it is not inherited
        best: tuple[int, str, Sequence[Step]] | None = None
        for file in self.files:
            there = self._claim_steps(steps, file.document)
            depth = _depth(there, file.document)
            if best is None or depth > best[0]:
                best = (depth, file.shown, there)
        assert best is not None
        return best[1], best[2]

    def _claim_steps(self, steps: Sequence[Step], document: Document) -> Sequence[Step]:
        """Claims are merged by their id, so their numbers differ between the files."""
        if len(self.files) == 1 or len(steps) < 2 or steps[0] != "claims" or not isinstance(steps[1], int):
            return steps
        merged, own = self.document["claims"], document.get("claims")
        if not isinstance(own, list) or not isinstance(merged[steps[1]], dict):
            return steps
        wanted = merged[steps[1]].get("id")
        for index, claim in enumerate(own):
            if isinstance(claim, dict) and claim.get("id") == wanted:
                return ("claims", index, *steps[2:])
        return ("", *steps)  # not in this file


def _depth(steps: Sequence[Step], document: Any) -> int:
    depth = 0
    for step in steps:
        known = step in document if isinstance(document, dict) else _has_item(document, step)
        if not known:
            break
        document = document[step]
        depth += 1
    return depth


def _has_item(value: Any, step: Step) -> bool:
    return isinstance(value, list) and isinstance(step, int) and step < len(value)


def load(
    name_or_path: str, sets: Iterable[str] = (), factory: str | None = None, *, check_relay: bool = True
) -> Scenario:
    """A shipped scenario by its name, or one from a file.

    Args:
        name_or_path: a shipped name, or a path (whatever ends in `.toml` or has a slash).
        sets: `PATH=VALUE`, each a dotted path into the scenario and a TOML value (or else a string).
        factory: another relay in place of the scenario's. The scenario's settings for its own relay, the workers'
            included, are then left out, and only claims of scope `any` are judged, all expected to be verified.
        check_relay: whether to import the factory and build one world with it.

    Raises:
        ScenarioError: with every problem that was found.
    """
    reading = _Reading(name_or_path)
    _read_chain(reading)
    if not reading.files:
        raise ScenarioError(reading.problems)
    _put_factory_in(reading, factory)
    _apply_sets(reading, sets)
    scenario = _validate(reading)
    if check_relay:
        _check_factory(reading)
    if scenario is not None and not reading.problems:
        scenario = _with_origin(scenario, reading)
        _check_axes(scenario, reading)
        if check_relay:
            _check_relay(scenario, reading)
    if scenario is None or reading.problems:
        raise ScenarioError(list(dict.fromkeys(reading.problems)))
    return scenario


def load_all(names_or_paths: Sequence[str], sets: Sequence[str] = (), factory: str | None = None) -> list[Scenario]:
    """Several scenarios, or a ScenarioError with the problems of all of them."""
    return load_each(names_or_paths, [sets] * len(names_or_paths), factory)


def load_each(
    names_or_paths: Sequence[str], sets: Sequence[Sequence[str]], factory: str | None = None
) -> list[Scenario]:
    """Several scenarios, each with its own `sets`, or a ScenarioError with the problems of all of them."""
    scenarios: list[Scenario] = []
    problems: list[Problem] = []
    for name, its_sets in zip(names_or_paths, sets, strict=True):
        try:
            scenarios.append(load(name, its_sets, factory))
        except ScenarioError as error:
            problems += error.problems
    seen: dict[str, str] = {}
    for scenario in scenarios:
        if (other := seen.setdefault(scenario.name, scenario.origin.given)) != scenario.origin.given:
            problems.append(Problem(scenario.origin.given, "name", f"{scenario.name!r} is the name of {other}, too"))
    if problems:
        raise ScenarioError(list(dict.fromkeys(problems)))
    return scenarios


def variant(scenario: Scenario, values: Mapping[str, Any]) -> Scenario:
    """The same scenario with other values at some dotted paths, for the cells of a map. Raises ScenarioError."""
    origin = scenario.origin
    reading = _Reading(origin.given, [_File(origin.given, Path(), origin.document)], factory=origin.factory)
    reading.document = dict(extend({}, origin.document))
    for path, value in values.items():
        _set(reading, path, value, f"{path}={value}")
    made = _validate(reading)
    if made is None or reading.problems:
        raise ScenarioError(reading.problems)
    return _with_origin(made, reading)


def _with_origin(scenario: Scenario, reading: _Reading) -> Scenario:
    scenario._origin = Origin(
        reading.given,
        reading.document,
        tuple(file.path for file in reading.files),
        tuple(reading.sets.values()),
        reading.factory,
        {typed.partition("=")[0].strip(): typed.partition("=")[2] for typed in reading.sets.values()},
    )
    return scenario


# Files


def _find(name: str, beside: Path | None = None) -> Path:
    """The file that a name or path means; what is written in a file is relative to it."""
    if name.endswith(".toml") or "/" in name or "\\" in name:
        path = Path(name).expanduser()
        return path if beside is None or path.is_absolute() else beside.parent / path
    return SHIPPED_FOLDER / f"{name}.toml"


def _shown(path: Path) -> str:
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _read_chain(reading: _Reading) -> None:
    name: Any = reading.given
    beside: Path | None = None
    seen: list[Path] = []
    reading.complete = False
    while True:
        path = _find(name, beside)
        if path.resolve() in seen:
            chain = " -> ".join(each.stem for each in (*seen, path))
            reading.complain(f"extends itself: {chain}", path="extends")
            break
        file = _read_file(reading, name, path)
        if file is None:
            break
        reading.files.append(file)
        seen.append(path.resolve())
        if "extends" not in file.document:
            reading.complete = True
            break
        name, beside = file.document["extends"], path
        if not isinstance(name, str):
            reading.complain(f"must be the name or the path of a scenario, not {shown(name)}", path="extends")
            break
        if len(seen) >= EXTENDS_MAX:
            reading.complain(f"more than {EXTENDS_MAX} scenarios extend each other", path="extends")
            break
    document: Document = {}
    for file in reversed(reading.files):
        document = extend(document, file.document)
    document.pop("extends", None)
    reading.document = document


def _read_file(reading: _Reading, name: str, path: Path) -> _File | None:
    def wrong(message: str, suggestion: str = "") -> None:
        if reading.files:
            parent = reading.files[-1]
            reading.problems.append(Problem(parent.shown, "extends", message, suggestion))
        else:
            reading.problems.append(Problem(name, "", message, suggestion))

    try:
        content = path.read_bytes()
    except FileNotFoundError:
        if path.parent == SHIPPED_FOLDER:
            said = did_you_mean(name, shipped(), what="shipped are")
            wrong(f"there is no shipped scenario {name!r}", f"{said} (or give a path that ends in .toml)")
        else:
            wrong(f"there is no such file{f' ({_shown(path)})' if reading.files else ''}")
        return None
    except OSError as error:
        wrong(f"cannot be read: {(error.strerror or str(error)).lower()}")
        return None
    display = path.name if path.parent == SHIPPED_FOLDER else _shown(path)
    try:
        document = tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        reading.problems.append(Problem(display, "", f"line {line} is not UTF-8, as TOML must be"))
        return None
    except tomllib.TOMLDecodeError as error:
        reading.problems.append(Problem(display, "", f"is no TOML: {_first_lower(str(error))}"))
        return None
    profile = document.get("profile")
    if isinstance(profile, str) and profile.endswith(".toml"):
        # Relative to the file that says so, not to one that extends it.
        document["profile"] = str(path.parent / profile)
    return _File(display, path, document)


def _first_lower(text: str) -> str:
    return text[:1].lower() + text[1:]


# What the command line puts in


def _put_factory_in(reading: _Reading, factory: str | None) -> None:
    if factory is None:
        return
    document = reading.document
    relay = document.get("relay")
    # Settings belong to the relay that they were written for.
    kept = {key: value for key, value in relay.items() if key != "settings"} if isinstance(relay, dict) else {}
    document["relay"] = {**kept, "factory": factory}
    groups = document.get("workers")
    for group in groups if isinstance(groups, list) else ():
        if isinstance(group, dict):
            group.pop("settings", None)
    claims = document.get("claims")
    if isinstance(claims, list):
        document["claims"] = [
            {**claim, "expect": "verified", "reason": "what a relay owes its customers", "by_construction": False}
            for claim in claims
            if isinstance(claim, dict) and claim.get("scope", "any") == "any"
        ]
    for block in ("map", "curve", "variant", "check_lanes"):
        document.pop(block, None)
    # A relay that nobody here has seen may call anything, so it runs on the SDK itself, as often as that lane affords.
    document["lane"] = "sdk"
    workload = document.get("workload")
    most = (
        _FACTORY_REPLICATIONS_OF_BURSTS
        if isinstance(workload, dict) and "bursts" in workload
        else _FACTORY_REPLICATIONS
    )
    if isinstance(given := document.get("replications"), int):
        document["replications"] = min(given, most)
    reading.factory = factory


def _apply_sets(reading: _Reading, sets: Iterable[str]) -> None:
    for typed in sets:
        try:
            path, value = parse_setting(typed)
        except PathError as error:
            reading.problems.append(Problem(f"--set {typed}", "", str(error)))
            continue
        _set(reading, path, value, typed)
    drop(reading.document)


def _set(reading: _Reading, path: str, value: Any, typed: str) -> None:
    try:
        set_value(reading.document, path, value)
    except PathError as error:
        reading.problems.append(Problem(f"--set {typed}", "", str(error)))
    else:
        reading.sets[path] = typed


# Checks


def _validate(reading: _Reading) -> Scenario | None:
    """The scenario of a document, if nothing is wrong with it. Adds to `problems`."""
    document = reading.document
    profile = _resolve_profile(reading)
    findings = list(not_finite({key: value for key, value in document.items() if key != "profile"}))
    if "backend" in document:
        findings.append(Finding(("backend",), "unknown key", "the profile is named by `profile`"))
    stand_in = profile if profile is not None else _any_profile()
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


def _any_profile() -> Profile:
    return Profile.model_validate(read_profile_table("claimed"))


def _resolve_profile(reading: _Reading) -> Profile | None:
    document = reading.document
    named, overrides = document.get("profile"), document.get("profile_overrides", {})
    if not isinstance(named, str) or not named or not isinstance(overrides, dict):
        return None  # the scenario's own model says what is wrong
    as_typed = {key: value for key, value in overrides.items() if not isinstance(value, dict)}
    overrides = {key: _constant(key, value) for key, value in overrides.items()}
    file, _ = reading.file_of(("profile",))
    try:
        table = read_profile_table(named)
    except FileNotFoundError:
        if named.endswith(".toml"):
            reading.problems.append(Problem(file, "profile", f"there is no file {_shown(Path(named))}"))
        else:
            said = did_you_mean(named, shipped_profiles(), what="shipped are")
            message = f"there is no profile {named!r}"
            reading.problems.append(Problem(file, "profile", message, f"{said} (or give a path that ends in .toml)"))
        _check_profile(reading, read_profile_table("claimed"), overrides, as_typed, None)
        return None
    except (OSError, UnicodeDecodeError) as error:
        reading.problems.append(Problem(file, "profile", f"{_shown(Path(named))} cannot be read: {error}"))
        return None
    except tomllib.TOMLDecodeError as error:
        reading.problems.append(Problem(_shown(Path(named)), "", f"is no TOML: {_first_lower(str(error))}"))
        return None
    where = f"profile {named}" if not named.endswith(".toml") else _shown(Path(named))
    return _check_profile(reading, table, overrides, as_typed, where)


def _check_profile(
    reading: _Reading,
    table: Mapping[str, Any],
    overrides: Mapping[str, Any],
    as_typed: Mapping[str, Any],
    where: str | None,
) -> Profile | None:
    """The profile, overridden, if it is right. `where` names it; None: only the overrides are looked at."""
    merged = override(table, overrides)
    findings = [*not_finite(merged), *errors_of(Profile, merged, {**merged, **as_typed})]
    unknown = any(key not in Profile.model_fields for key in overrides)
    for finding in findings:
        if unknown and finding.steps == ("basis",):
            continue  # says of the unknown key that it has a basis
        if finding.steps and finding.steps[0] in overrides:
            moved = finding._replace(steps=("profile_overrides", *finding.steps))
            reading.problems += to_problems([moved], reading.file_of)
        elif where is not None:
            reading.problems.append(Problem(where, format_path(finding.steps), finding.message, finding.suggestion))
    return None if findings else Profile.model_validate(merged)


def _constant(key: str, value: Any) -> Any:
    """A number in place of a distribution of seconds is always that long, as everywhere in a scenario."""
    field = Profile.model_fields.get(key)
    of_seconds = field is not None and field.annotation in (Distribution, Distribution | None, _bare(Distribution))
    if of_seconds and isinstance(value, (int, float)) and not isinstance(value, bool):
        return {"kind": "constant", "value": value}
    return value


def _bare(annotated: Any) -> Any:
    return annotated.__origin__


def _wrong_references(document: Document, findings: Sequence[Finding], profile: Profile) -> list[Finding]:
    """What tables say about each other, checked on those that are right in themselves."""
    wrong = {str(finding.steps[0]) for finding in findings if finding.steps}
    names = ("workers", "workload", "schedule", "host_faults", "liveness", "limit_seconds", "strata")
    tables = {name: document[name] for name in names if name in document and name not in wrong}
    if "workload" not in tables:
        return []
    probe = {**tables, "profile": profile, "relay": {"factory": "relaysim.relay:any"}}
    return errors_of(WorldSettings, probe, probe)


def _wrong_claims(document: Document) -> list[Finding]:
    """Ids that are there twice, events that nobody counts, and maps of claims that are not there."""
    claims = document.get("claims")
    tables = [each if isinstance(each, dict) else {} for each in claims] if isinstance(claims, list) else []
    findings = []
    ids: list[Any] = []
    for index, claim in enumerate(tables):
        identifier = claim.get("id")
        if identifier is not None and identifier in ids:
            findings.append(
                Finding(("claims", index, "id"), f"{identifier!r} is the id of claims[{ids.index(identifier)}], too")
            )
        ids.append(identifier)
        event, among = claim.get("event"), claim.get("among")
        known, what = (SERIES, "series") if claim.get("kind") == "exact" else (COUNTS, "count")
        if isinstance(event, str) and event not in known and claim.get("kind") in get_args(Kind):
            suggestion = did_you_mean(event, [*known], what="there are")
            findings.append(Finding(("claims", index, "event"), f"there is no {what} {event!r}", suggestion))
        if isinstance(among, str) and among != REPLICATIONS and among not in COUNTS:
            suggestion = did_you_mean(among, [*COUNTS, REPLICATIONS], what="there are")
            findings.append(Finding(("claims", index, "among"), f"there is no count {among!r}", suggestion))
    findings += _wrong_in_strata(document, tables)
    known_ids = [each for each in ids if isinstance(each, str)]
    for steps, name in _claims_named(document):
        if name not in known_ids:
            suggestion = did_you_mean(name, known_ids, what="there are")
            findings.append(Finding(steps, f"there is no claim {name!r}", suggestion))
    return findings


def _wrong_in_strata(document: Document, claims: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """What cannot be weighed stratum by stratum."""
    strata = document.get("strata")
    if not isinstance(strata, dict) or strata.get("enabled", True) is not True:
        return []
    findings = []
    for index, claim in enumerate(claims):
        if claim.get("kind") == "exact":
            said = "with strata, a claim is about how often something happens, not about values"
            findings.append(Finding(("claims", index, "kind"), said, "or set strata.enabled = false"))
        elif claim.get("among", REPLICATIONS) != REPLICATIONS:
            said = "with strata, the trials of a claim are whole replications"
            findings.append(Finding(("claims", index, "among"), said, f"leave it out, or write {REPLICATIONS!r}"))
    for name in ("map", "curve"):
        if isinstance(document.get(name), dict):
            said = "a scenario with strata has no map and no curve"
            findings.append(Finding((name,), said, "or set strata.enabled = false"))
    return findings


def _claims_named(document: Document) -> list[tuple[tuple[Step, ...], str]]:
    named: list[tuple[tuple[Step, ...], str]] = []
    plan, curve = document.get("map"), document.get("curve")
    if isinstance(plan, dict) and isinstance(plan.get("claims"), list):
        named += [(("map", "claims", index), name) for index, name in enumerate(plan["claims"])]
    if isinstance(curve, dict):
        named.append((("curve", "claim"), curve.get("claim", "")))
    return [(steps, name) for steps, name in named if isinstance(name, str) and name]


def _check_axes(scenario: Scenario, reading: _Reading) -> None:
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
                    said = f"{axis.path} = {value:g} makes no scenario: {problem.message}"
                    block = where.partition(".")[0]
                    suggestion = problem.suggestion
                    if reading.sets:
                        away = f"take the {block} away with --set {block}.drop=true"
                        suggestion = f"{suggestion} (or {away})" if suggestion else away
                    reading.complain(said, suggestion, path=where)
                break


def _check_factory(reading: _Reading) -> None:
    """Whether the factory is there to be called."""
    from relaysim.sim.world import FactoryError, resolve

    relay = reading.document.get("relay")
    name = relay.get("factory") if isinstance(relay, dict) else None
    if not isinstance(name, str) or not re.match(FACTORY_PATTERN, name):
        return  # the model says what is wrong
    try:
        resolve(name)
    except FactoryError as error:
        file, steps = reading.file_of(("relay", "factory"))
        reading.problems.append(Problem(file, format_path(steps), str(error).removeprefix(f"factory {name!r}: ")))


def _check_relay(scenario: Scenario, reading: _Reading) -> None:
    """Build one world as every replication will, and stop it before anything happens."""
    from relaysim.sim.world import Session, World

    file, steps = reading.file_of(("relay", "factory"))
    where = format_path(steps)
    settings = scenario.world_settings().model_copy(update={"limit_seconds": 2.0**-20})
    world = World(settings, scenario.root_seed, 0, scenario.lane)
    try:
        with Session() as session:
            session.run(world)
    except Exception as error:
        said = f"{scenario.relay.factory} cannot be built with these settings: {_named(error)}"
        _complain_of_settings(reading, said, file)
        return
    for worker in world.workers:
        if not callable(getattr(worker.relay, "handle", None)):
            said = f"{scenario.relay.factory} gave {type(worker.relay).__name__}, which has no `handle`"
            suggestion = "return an object with `async def handle(self, message)`"
            reading.problems.append(Problem(file, where, said, suggestion))
            return


def _named(error: BaseException) -> str:
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"


def _complain_of_settings(reading: _Reading, said: str, file: str) -> None:
    typed = [setting for path, setting in reading.sets.items() if path.startswith(("relay.", "workers"))]
    reading.problems.append(Problem(f"--set {typed[0]}" if len(typed) == 1 else file, "relay.settings", said))
