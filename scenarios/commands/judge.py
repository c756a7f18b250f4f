"""The command `judge`: any program, in any language, judged from outside: in real time, or on the simulator's clock."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relaysim.scenarios.commands.ci_outputs import (
    add_github_summary,
    add_junit,
    check_ci_outputs,
    tell_github,
    write_junit,
)
from relaysim.scenarios.commands.command_line import (
    UsageError,
    add_results,
    add_sets,
    checked_folder,
    non_negative_int,
    positive_int,
    say,
    say_results,
    show_answer,
    writing,
)

if TYPE_CHECKING:
    from rich.console import Console

    from relaysim.scenarios.model import Scenario
    from relaysim.scenarios.outside.config import JudgeConfig

_WORLDS = 16
"""Worlds of a scenario, unless told otherwise: two rounds of those that run at once."""

_PLACEHOLDER = "relaysim.sim.outside:program"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "scenarios",
        nargs="*",
        metavar="SCENARIO",
        help="shipped scenarios' names, or paths; by default those of the file",
    )
    parser.add_argument("--init", action="store_true", help="write a relaysim.toml to begin with, and exit")
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="how the program is started; by default relaysim.toml, if it is there",
    )
    parser.add_argument("--copies", type=positive_int, metavar="N", help="how many copies of the program run at once")
    parser.add_argument(
        "--webhook",
        metavar="URL",
        help="where a copy takes webhooks; {port} stands for the port that it reads from PORT",
    )
    parser.add_argument(
        "--redis", metavar="URL", help="your own Redis, in place of one for each world; nothing in it is removed"
    )
    parser.add_argument(
        "--port",
        type=positive_int,
        metavar="N",
        help="without a command: where the running program finds the simulated API; by default 8018",
    )
    parser.add_argument(
        "--verification",
        action="store_true",
        default=None,
        help="let the provider make sure of the webhook's address before the first message",
    )
    parser.add_argument("--provider", metavar="KIND", help="whose webhooks the program takes (docs/providers.md)")
    parser.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a variable for the program, any number of times; {provider}, {api}, {redis} and {port} stand for addresses",
    )
    parser.add_argument(
        "--replications",
        type=positive_int,
        metavar="N",
        help="worlds per scenario, all of them; by default it stops once nothing can change the answer",
    )
    parser.add_argument(
        "--max", type=positive_int, metavar="N", help=f"worlds per scenario at the most; by default {_WORLDS}"
    )
    parser.add_argument(
        "--speed",
        type=float,
        metavar="X",
        help="how many times as fast as real time all but the program is, whose answer is then another one; by default 1",
    )
    parser.add_argument(
        "--lockstep",
        action="store_true",
        default=None,
        help="Node and asyncio: the program's timers and clocks are the simulator's, so that a world takes seconds and a "
        "seed plays the same again; its Redis is simulated, too",
    )
    parser.add_argument("--parallel", type=positive_int, metavar="K", help="worlds at once; by default 8")
    parser.add_argument("--seed", type=non_negative_int, metavar="N", help="play this world alone, and tell its story")
    parser.add_argument("--claim", metavar="ID", help="with --seed: show first what breaks this claim or invariant")
    parser.add_argument("--all", action="store_true", help="with --seed: every line of the story")
    add_sets(parser)
    add_results(parser, name="judge")
    add_junit(parser)
    add_github_summary(parser)
    parser.set_defaults(program=[], conversation=None)  # what stands after a --, see `relaysim.scenarios.cli`


def judge(arguments: argparse.Namespace) -> int:
    """The command."""
    from relaysim.reports.answers import with_answer
    from relaysim.reports.changes import changes_since
    from relaysim.reports.exit_codes import exit_status
    from relaysim.reports.publish import publish
    from relaysim.reports.results import build_results
    from relaysim.reports.runs import named
    from relaysim.scenarios.first_failures import first_failures
    from relaysim.scenarios.outside.early_answers import EarlyAnswers
    from relaysim.scenarios.outside.trials import Trials
    from relaysim.scenarios.own_relay import details
    from relaysim.scenarios.progress import reporter
    from relaysim.scenarios.runner import Cost, ReplicationError
    from relaysim.scenarios.sequential import Sequential
    from relaysim.scenarios.timing import code_version, timing
    from relaysim.scenarios.verdicts import verify_scenario

    if arguments.init:
        return _write_config()
    config = _config(arguments)
    checked_folder(arguments.name, arguments.out)
    check_ci_outputs(arguments)
    scenarios = _scenarios(arguments, config)
    count = arguments.replications or arguments.max or _WORLDS
    if arguments.replications is not None and arguments.max is not None:
        raise UsageError(
            "--max: is for runs that stop by themselves; --replications plays all its worlds, leave one out"
        )
    if arguments.seed is not None:
        return _one_world(arguments, config, scenarios)
    version, costs, entries = code_version(), dict[str, Cost](), list[dict[str, Any]]()
    outside = {"factory": config.shown, "waits": [], "outside": _conditions(config)}
    is_open = arguments.replications is None
    with Trials(config, count) as trials:
        with reporter(quiet=arguments.quiet) as shown:
            shown.plan(config.shown, {each.name: count for each in scenarios}, jobs=_round(config), at_most=is_open)
            if config.runs_already:
                here = f"http://127.0.0.1:{config.port}"
                shown.say(f"{config.webhook} must find the API at {here}/v1, and send texts to {here}/_provider")
            for scenario in scenarios:
                early = EarlyAnswers(scenario, version, entries, outside, shown.say)
                trials.heard = early.hear_of_world
                sequential = Sequential(maximum=count, every=_round(config), heard=early.hear) if is_open else None
                try:
                    entry, cost = verify_scenario(
                        scenario,
                        replications=count,
                        lane_check=0,
                        sequential=sequential,
                        progress=shown.part(scenario.name, lambda key, name=scenario.name: name),  # type: ignore[misc]
                        observe=trials.observe_of(scenario.name),
                    )
                except ReplicationError as error:
                    raise UsageError(_cause(error)) from error
                entries.append(entry)
                costs[scenario.name] = cost
                shown.done(scenario.name, cost, "judged")
            shown.last("drawing the page")
        extra: dict[str, Any] = {**outside, "details": details({"scenarios": entries, **outside}, [])}
        results = with_answer(build_results(version, entries, **extra))
        stories = first_failures(results, scenarios, trials.kept)
    measured = timing(costs, jobs=_round(config))
    with writing():
        folder = publish(results, name=arguments.name, timing=measured, out=arguments.out, stories=stories)
    write_junit(arguments, results, measured)
    tell_github(arguments, results, lambda: changes_since(folder / "previous.json", results))
    say_results(arguments, results, lambda: _print(results, named(folder, arguments.out), full=arguments.full))
    return exit_status(results)


def _one_world(arguments: argparse.Namespace, config: JudgeConfig, scenarios: Sequence[Scenario]) -> int:
    """Play one seed, and tell its story."""
    from relaysim.scenarios.commands.replay import show_world
    from relaysim.scenarios.outside.trials import Trials
    from relaysim.sim.outside.programs import ProgramStartError

    if len(scenarios) != 1:
        raise UsageError("--seed: plays one world of one scenario; name the scenario")
    (scenario,) = scenarios
    with Trials(config, arguments.seed + 1) as trials:
        observe = trials.observe_of(scenario.name)
        try:
            observe(scenario.world_settings(), scenario.root_seed, arguments.seed, scenario.lane)
        except* ProgramStartError as group:
            raise UsageError(_cause(group)) from group
        show_world(arguments, scenario, "outside", trials.kept(scenario, scenario.lane, arguments.seed))
    return 0


def _config(arguments: argparse.Namespace) -> JudgeConfig:
    from relaysim.scenarios.outside.config import FILE, ConfigError, default_place, read_config

    place = arguments.config
    if place is None and default_place().exists():
        place = default_place()
    variables: dict[str, str] = {}
    for each in arguments.env:
        name, equals, value = each.partition("=")
        if not name or not equals:
            raise UsageError(f"--env {each}: write NAME=VALUE")
        variables[name] = value
    try:
        config = read_config(place)
        config = config.changed(
            command=arguments.program or None,
            copies=arguments.copies,
            webhook=arguments.webhook,
            provider=arguments.provider,
            redis=arguments.redis,
            port=arguments.port,
            verification=arguments.verification,
            speed=arguments.speed,
            lockstep=arguments.lockstep,
            parallel=1 if arguments.seed is not None else arguments.parallel,
            scenarios=arguments.scenarios or None,
            environment={**config.environment, **variables},
        )
    except ConfigError as error:
        raise UsageError(str(error)) from error
    if config.runs_already and "{port}" in config.webhook:
        raise UsageError(
            f"there is no program to judge: write it after a --, as in `relaysim judge -- node server.js`, or as "
            f"`command` in {FILE} (relaysim judge --init writes one), or name a running one by --webhook URL"
        )
    if config.runs_already and config.copies > 1:
        raise UsageError("--copies: a program that runs already has one address; leave it out")
    if config.runs_already and config.redis is not None:
        raise UsageError(
            "--redis: is handed to programs that are started; one that runs already has its own, leave it out"
        )
    if config.lockstep:
        _check_lockstep(config)
    return config


def _check_lockstep(config: JudgeConfig) -> None:
    """What cannot be kept on the simulator's clock.

    Raises:
        UsageError: there is such a thing.
    """
    if config.runs_already:
        raise UsageError(
            "--lockstep: a program that runs already is not on the simulator's clock; write its command after a --, or "
            "leave --lockstep out"
        )
    if config.redis is not None:
        raise UsageError("--lockstep: your own Redis is not on the simulator's clock; leave --redis or --lockstep out")
    if config.speed != 1.0:
        raise UsageError("--lockstep: its worlds are as fast as they can be; leave --speed or --lockstep out")
    if config.verification:
        raise UsageError("--lockstep: the provider's verification is made in real time; leave one of them out")


def _scenarios(arguments: argparse.Namespace, config: JudgeConfig) -> list[Scenario]:
    from relaysim.scenarios.load import load
    from relaysim.scenarios.outside.origin import judged_from_outside
    from relaysim.scenarios.outside.playable import what_cannot_be_played
    from relaysim.scenarios.problems import ScenarioError

    sets = list(arguments.sets)
    if config.provider is not None:
        sets.insert(0, f'provider={{ kind = "{config.provider}", path = "{config.path}" }}')
    loaded = []
    for name in config.scenarios:
        try:
            scenario = load(name, sets, _PLACEHOLDER, check_relay=False)
        except ScenarioError as error:
            raise UsageError(str(error), page=error.page) from error
        if scenario.provider is None:
            raise UsageError(
                f"{name}: has no provider, and a program gets its messages by a provider's webhooks: name it, "
                "--provider KIND (docs/providers.md)"
            )
        if unplayable := what_cannot_be_played(scenario, config):
            raise UsageError(f"{name}: {unplayable}", page="judge#what-is-played")
        loaded.append(judged_from_outside(scenario, _options_again(arguments)))
    return loaded


def _options_again(arguments: argparse.Namespace) -> str:
    """The options of this command line that its worlds hang on, as a line that plays one again has them."""
    again = [
        part
        for name in ("config", "copies", "webhook", "provider", "redis", "port", "speed")
        if (value := getattr(arguments, name)) is not None
        for part in (f"--{name}", f"{value:g}" if isinstance(value, float) else str(value))
    ]
    again += ["--verification"] if arguments.verification else []
    again += ["--lockstep"] if arguments.lockstep else []
    again += [part for each in arguments.env for part in ("--env", each)]
    again += [part for each in arguments.sets for part in ("--set", each)]
    return "".join(f" {shlex.quote(each)}" for each in again) + (
        f" -- {shlex.join(arguments.program)}" if arguments.program else ""
    )


def _round(config: JudgeConfig) -> int:
    """After how many worlds it looks: as many as are played at once."""
    return config.worlds_at_once


def _conditions(config: JudgeConfig) -> dict[str, Any]:
    conditions: dict[str, Any] = {"command": list(config.command), "copies": config.copies, "speed": config.speed}
    if config.lockstep:
        conditions["lockstep"] = True
    if config.runs_already:
        conditions["runs_already"] = True
    if config.redis is not None:
        conditions["own_redis"] = True
    return conditions


def _write_config() -> int:
    from relaysim.scenarios.outside.config import FILE, TEMPLATE

    with writing():
        try:
            with Path(FILE).open("x", encoding="utf-8") as file:
                file.write(TEMPLATE)
        except FileExistsError as error:
            raise UsageError(f"{FILE}: is there already, and stays as it is") from error
    say(f"{FILE} is written: change `command` and `webhook` in it, then run `relaysim judge`.")
    return 0


def _cause(error: BaseException) -> str:
    """What kept a world from being played, in one line."""
    cause: BaseException = error.__cause__ or error
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    return " ".join(str(cause).split())


def _print(results: Mapping[str, Any], folder: Path, *, full: bool) -> None:
    from relaysim.reports.terminal import print_report

    def rest(console: Console, results: Mapping[str, Any]) -> None:
        print_report(console, results)

    show_answer(results, [("Report", folder / "index.html")], rest if full else None)
