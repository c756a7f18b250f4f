"""Settings of the served API from the options of `serve`: the profile with its `--set`, faults and replies from files."""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from relaysim.scenarios.docs_pages import FAULTS, OTHER_ENDPOINTS, PROFILE, REPLIES
from relaysim.scenarios.document import Document, PathError, parse_path, parse_setting, set_value
from relaysim.scenarios.problems import Problem, ScenarioError, findings_of, told_with_their_api, unreadable
from relaysim.scenarios.runner import here_on_path
from relaysim.scenarios.scenario_checks import constant_seconds
from relaysim.sim.backends import BACKENDS, backend_named
from relaysim.sim.backends.other_endpoints.settings import OtherEndpointsSettings
from relaysim.sim.backends.profile import ExtendsError, Profile, override, read_profile_table, shipped_profiles
from relaysim.sim.backends.protocol import Backend
from relaysim.sim.backends.replies import Replies
from relaysim.sim.backends.webhook_events import ServedEvents
from relaysim.sim.doors.faults import ApiFault, wrong_routes
from relaysim.sim.doors.simulation import ApiSettings
from relaysim.sim.toml_file import read_toml
from relaysim.sim.validation_words import did_you_mean, format_path


class _FaultsFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    faults: tuple[ApiFault, ...] = Field(description="[[faults]] tables, in order of precedence")


class _RepliesFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    replies: Replies = Field(description="what assistants answer")


def settings_from(arguments: argparse.Namespace) -> ApiSettings:
    """The settings that the options and their files ask for.

    Raises:
        relaysim.scenarios.problems.ScenarioError: with everything that is wrong with them.
    """
    problems: list[Problem] = []
    if arguments.api not in BACKENDS:
        suggestion = did_you_mean(arguments.api, tuple(BACKENDS), what="there are")
        problem = Problem(f"--api {arguments.api}", "", f"there is no simulated API {arguments.api!r}", suggestion)
        raise ScenarioError([problem])
    backend = backend_named(arguments.api)
    overrides = _read_profile(arguments.profile, arguments.sets, backend.profile, problems)
    faults = _read_faults(arguments.faults, backend, problems)
    replies = _read_replies(arguments.replies, problems)
    others = _read_file("--other-endpoints", arguments.other_endpoints, problems, OTHER_ENDPOINTS)
    if others is not None:
        others = _checked(OtherEndpointsSettings, others, str(arguments.other_endpoints), problems, OTHER_ENDPOINTS)
    if arguments.any_assistant and not backend.has_assistants:
        problems.append(_no_assistants("--any-assistant", backend))
    for given in arguments.assistants:
        if not backend.has_assistants:
            problems.append(_no_assistants(f"--assistant {given}", backend))
            continue
        if not given.startswith("asst_"):
            problems.append(Problem(f"--assistant {given}", "", "is no assistant's id", "ids begin with `asst_`"))
    events = _read_events(arguments.webhook_url, arguments.webhook_secret, backend, problems)
    if problems:
        raise ScenarioError(list(dict.fromkeys(problems)))
    chosen = {"replies": replies, "other_endpoints": others, "threads_max": arguments.threads_max}
    return ApiSettings(
        api=arguments.api,
        profile=arguments.profile,
        overrides=overrides,
        faults=faults,
        seed=arguments.seed,
        assistants="any" if arguments.any_assistant else tuple(arguments.assistants),
        keys=None if arguments.keys is None else tuple(arguments.keys),
        poll_after_ms=arguments.poll_after_ms,
        latency=not arguments.no_latency,
        events=events,
        **{name: value for name, value in chosen.items() if value is not None},
    )


def _read_events(url: str | None, secret: str | None, backend: Backend, problems: list[Problem]) -> ServedEvents | None:
    if url is None:
        if secret is not None:
            problems.append(Problem("--webhook-secret", "", "signs nothing", "give --webhook-url too, or leave it out"))
        return None
    if not backend.has_events:
        suggestion = "leave the option out, or give --api responses"
        problems.append(
            Problem("--webhook-url", "", f"the simulated {backend.title} tells of nothing by itself", suggestion)
        )
        return None
    table = {"url": url, **({} if secret is None else {"secret": secret})}
    findings = findings_of(ServedEvents, table)
    for finding in findings:
        named = "--webhook-secret" if finding.steps == ("secret",) else f"--webhook-url {url}"
        fix = "give http:// or https://, a host and a path" if finding.steps == ("url",) else finding.suggestion
        message = "is no URL of an endpoint" if finding.steps == ("url",) else finding.message
        problems.append(Problem(named, "", message, fix))
    return None if findings else ServedEvents.model_validate(table)


def _no_assistants(option: str, backend: Backend) -> Problem:
    return Problem(option, "", f"the simulated {backend.title} has no assistants", "leave the option out")


def _read_profile(named: str, sets: Sequence[str], model: type[Profile], problems: list[Problem]) -> dict[str, Any]:
    """The overrides that `--set` makes; the profile with them is checked."""
    overrides: Document = {}
    typed: dict[str, str] = {}
    for each in sets:
        try:
            path, value = parse_setting(each)
            set_value(overrides, path, value)
        except PathError as error:
            problems.append(Problem(f"--set {each}", "", str(error)))
        else:
            typed[path] = each
    overrides = {key: constant_seconds(key, value, model) for key, value in overrides.items()}

    where = f"--profile {named}"
    try:
        table = read_profile_table(named)
    except FileNotFoundError:
        if named.endswith(".toml"):
            problems.append(Problem(where, "", "there is no such file", page=PROFILE))
        else:
            sentence = (
                f"{did_you_mean(named, shipped_profiles(), what='shipped are')} (or give a path that ends in .toml)"
            )
            problems.append(Problem(where, "", f"there is no profile {named!r}", sentence, PROFILE))
        return {}
    except ExtendsError as error:
        problems.append(Problem("--profile", "", str(error), page=PROFILE))
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        problems.append(Problem(where, "", unreadable(error), page=PROFILE))
        return {}
    merged = override(table, overrides)
    findings = told_with_their_api(findings_of(model, merged), model)
    unknown = any(key not in model.model_fields for key in overrides)
    for finding in findings:
        if unknown and finding.steps == ("basis",):
            continue  # says of the unknown key that it has a basis
        file = named if named.endswith(".toml") else f"profile {named}"
        if finding.steps and finding.steps[0] in overrides:
            # The setting of that very place, or else one of the same table.
            near = {path: each for path, each in typed.items() if parse_path(path)[0] == finding.steps[0]}
            file = f"--set {near.get(format_path(finding.steps), next(iter(near.values())))}"
        problems.append(Problem(file, format_path(finding.steps), finding.message, finding.suggestion, PROFILE))
    return overrides


def _read_faults(path: str | None, backend: Backend, problems: list[Problem]) -> Any:
    document = _read_file("--faults", path, problems, FAULTS)
    if document is None:
        return ()

    made = _checked(_FaultsFile, document, str(path), problems, FAULTS)
    if made is None:
        return ()
    for position, message in wrong_routes(made.faults, backend):
        problems.append(Problem(str(path), f"faults[{position}].route", message, page=FAULTS))
    return made.faults


def _read_replies(path: str | None, problems: list[Problem]) -> Any:
    document = _read_file("--replies", path, problems, REPLIES)
    if document is None:
        return None

    here_on_path()
    made = _checked(_RepliesFile, {"replies": document}, str(path), problems, REPLIES, below=1)
    return None if made is None else made.replies


def _read_file(option: str, path: str | None, problems: list[Problem], page: str) -> Document | None:

    if path is None:
        return None
    try:
        return read_toml(path)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        problems.append(Problem(f"{option} {path}", "", unreadable(error), page=page))
        return None


def _checked(
    model: type[BaseModel],
    document: Mapping[str, Any],
    file: str,
    problems: list[Problem],
    page: str,
    *,
    below: int = 0,
) -> Any:
    """The model of a document, if nothing is wrong with it. `below`: how many steps of a place are not in the file."""
    findings = findings_of(model, document)
    for finding in findings:
        problems.append(Problem(file, format_path(finding.steps[below:]), finding.message, finding.suggestion, page))
    return None if findings else model.model_validate(document)
