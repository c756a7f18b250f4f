"""The `relaysim` command: run, verify, compare, ablate, replay, serve, list.

Results go to standard output, progress and errors to standard error. Exit codes: 0 every verdict as expected, 1 one is
not, 2 bad usage or a bad file, 3 the only unexpected ones are inconclusive, 4 non-determinism found, 130 interrupted.

Modules of the current directory can be named (`--factory my_bot:make`): it is put at the end of `sys.path`.

Whatever takes time to import is imported by the command that needs it, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scenarios.command_line import (
    UsageError,
    checked_folder,
    count,
    names,
    say,
    say_json,
    share,
    show,
    stop_output,
    whole,
)
from scenarios.fit import command as fit
from scenarios.serve import add_arguments, serve
from scenarios.sweep.command import add_arguments as sweep_arguments
from scenarios.sweep.command import sweep
from scenarios.tune import command as tuning

if TYPE_CHECKING:
    from rich.console import Console

    from scenarios.model import Scenario
    from scenarios.progress import Reporter
    from scenarios.runner import Cost, Observe
    from scenarios.sequential import Sequential

EXIT_USAGE = 2
EXIT_NOT_DETERMINISTIC = 4
EXIT_INTERRUPTED = 130

_SET_HELP = (
    "set one value of the scenario, e.g. relay.settings.first_wait_seconds=1 or workload.messages[1].at_seconds=2.5; "
    "VALUE as in TOML, or else a text; can be given several times"
)
_FACTORY_HELP = (
    "put another relay in place of the scenario's: a function called with the OpenAI client, the Redis client and a "
    "`send(conversation, text)` coroutine, which returns an object with `async handle(message)`; modules of the "
    "current directory are found"
)
_POLICIES_HELP = (
    "at least two, with commas: check_then_act, cancel_and_retry, drain (by default all three), "
    "package.module:function as for --factory, or a policy file (FILE.toml)"
)
_POLICY_HELP = "put the policy of this file in place of the scenario's relay; --set comes after it"
_POLICY_SETTINGS_HELP = (
    "give one policy a setting, e.g. check_then_act.lock_retry_seconds=0.5, or one group of its workers with "
    "drain.workers[1].prefix=other:; VALUE as in TOML, or else a text; can be given several times"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code. `argv` is without the command's own name; by default `sys.argv`."""
    if sys.stdout is None:  # closed by whoever started us
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as stop:  # argparse has said what is wrong, or printed the help
        return stop.code if isinstance(stop.code, int) else EXIT_USAGE
    try:
        status: int = arguments.command(arguments)
    except KeyboardInterrupt:
        print("relaysim: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except UsageError as error:
        _complain(str(error))
        return EXIT_USAGE
    finally:
        _flush()
    return status


def _complain(said: str) -> None:
    lines = said.splitlines()
    if len(lines) == 1:
        print(f"relaysim: {lines[0]}", file=sys.stderr)
        return
    print(f"relaysim: {len(lines)} problems", file=sys.stderr)
    for line in lines:
        print(f"  {line}", file=sys.stderr)


# Standard output


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        stop_output()


# The command line


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="relaysim",
        description="Run a chat relay in virtual time against a simulated conversation API; judge claims about it.",
        epilog="exit codes: 0 every verdict as expected, 1 not, 2 usage or a bad file, 3 inconclusive, "
        "4 non-determinism found, 130 interrupted",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], help_text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=help_text, description=help_text, allow_abbrev=False)
        made.set_defaults(command=run)
        made.add_argument("--json", action="store_true", help="print the results as JSON")
        return made

    def add_lane(made: argparse.ArgumentParser) -> None:
        made.add_argument("--lane", choices=("sdk", "direct"), help="sdk: with the SDK's own code; direct: without it")

    def add_sets(made: argparse.ArgumentParser) -> None:
        made.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", dest="sets", help=_SET_HELP)

    def add_world(made: argparse.ArgumentParser) -> None:
        add_lane(made)
        add_sets(made)
        other = made.add_mutually_exclusive_group()
        other.add_argument("--factory", metavar="MODULE:FUNCTION", help=_FACTORY_HELP)
        other.add_argument("--policy", metavar="FILE.toml", help=_POLICY_HELP)

    run = command("run", _run, "Run one world of a scenario.")
    run.add_argument("scenario", metavar="SCENARIO", help="a shipped scenario's name, or a path")
    run.add_argument("--seed", type=whole, required=True, metavar="N", help="the replication's number")
    run.add_argument("--trace", type=Path, metavar="FILE", help="write what happened as JSON lines")
    add_world(run)

    verify = command("verify", _verify, "Run scenarios and judge their claims; by default all of the incident.")
    verify.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="shipped scenarios' names, or paths")
    verify.add_argument(
        "--replications", type=count, metavar="N", help="worlds per scenario, instead of its own number"
    )
    verify.add_argument(
        "--sequential", action="store_true", help="stop each scenario as soon as its claims about rates are decided"
    )
    verify.add_argument(
        "--error",
        type=share,
        metavar="ALPHA",
        help="with --sequential: share of wrong verdicts that a family of claims may have; by default 0.01",
    )
    verify.add_argument(
        "--max",
        type=count,
        metavar="N",
        dest="maximum",
        help="with --sequential: worlds per scenario at the most; by default ten times its own number",
    )
    verify.add_argument("--jobs", type=count, metavar="N", help="processes; by default one per processor")
    verify.add_argument(
        "--lane-check",
        type=whole,
        metavar="K",
        help="in lane direct: also run the first K worlds in lane sdk, and compare",
    )
    verify.add_argument("--out", type=Path, metavar="DIR", help="folder of the results")
    verify.add_argument("--name", metavar="NAME", help="name of the folder below reports/out")
    verify.add_argument("--quiet", action="store_true", help="no progress")
    add_world(verify)

    compared = command("compare", _compare, "Run several policies in the same worlds, and say how far they lie apart.")
    compared.add_argument("scenario", metavar="SCENARIO", help="a shipped scenario's name, or a path")
    compared.add_argument("--policies", type=names, metavar="P,P,...", help=_POLICIES_HELP)
    compared.add_argument(
        "--settings", action="append", default=[], metavar="POLICY.KEY=VALUE", help=_POLICY_SETTINGS_HELP
    )
    compared.add_argument(
        "--replications", type=count, metavar="N", help="worlds per policy, instead of the scenario's own number"
    )
    compared.add_argument("--jobs", type=count, metavar="N", help="processes; by default one per processor")
    compared.add_argument("--out", type=Path, metavar="DIR", help="folder of the results")
    compared.add_argument("--name", metavar="NAME", help="name of the folder below reports/out")
    compared.add_argument("--quiet", action="store_true", help="no progress")
    add_lane(compared)
    add_sets(compared)

    ablated = command(
        "ablate", _ablate, "Take the safeguards of the policy drain away one by one; the judge must notice."
    )
    ablated.add_argument("names", nargs="*", metavar="NAME", help="ablations, e.g. no_fencing; by default all")
    ablated.add_argument(
        "--scenario", metavar="SCENARIO", help="a shipped scenario's name, or a path; by default each one's own"
    )
    ablated.add_argument(
        "--replications", type=count, metavar="N", help="worlds per ablation and root seed, instead of the scenario's"
    )
    ablated.add_argument("--root-seeds", type=count, metavar="N", help="how many root seeds; by default 5")
    ablated.add_argument("--jobs", type=count, metavar="N", help="processes; by default one per processor")
    ablated.add_argument("--out", type=Path, metavar="DIR", help="folder of the results")
    ablated.add_argument("--quiet", action="store_true", help="no progress")
    add_lane(ablated)
    add_sets(ablated)

    fitted = command("fit", fit.run, "Read production logs: what they say of the claims, and a profile fitted to them.")
    fit.add_arguments(fitted)

    swept = command("sweep", _sweep, "Run one scenario at many points; what is done is kept, and a later run goes on.")
    sweep_arguments(swept)
    add_world(swept)

    tuned = command("tune", tuning.run, "Search a policy's settings, and judge the best on seeds it never saw.")
    tuning.add_arguments(tuned)

    replay = command("replay", _replay, "Show one world as a timeline: what went wrong first, and why.")
    replay.add_argument("scenario", metavar="SCENARIO", help="a shipped scenario's name, or a path")
    replay.add_argument("--seed", type=whole, required=True, metavar="N", help="the replication's number")
    replay.add_argument(
        "--conversation",
        metavar="C",
        help="the story of this conversation (number or name), message or delivery; by default of the first failure",
    )
    replay.add_argument(
        "--all", action="store_true", help="every line: of all conversations, or of the one that --conversation names"
    )
    add_world(replay)

    served = command("serve", _serve, "Serve the simulated API on a real socket, until a signal stops it.")
    add_arguments(served)

    command("list", _list, "List the shipped scenarios with their claims and expected verdicts.")
    return parser


# Loading


def _load(names: Sequence[str], arguments: argparse.Namespace) -> list[Scenario]:
    from scenarios.load import load_all
    from scenarios.problems import ScenarioError
    from scenarios.runner import here_on_path

    here_on_path()
    try:
        if arguments.policy is not None:
            from scenarios.policy import load_all_with_policy

            return load_all_with_policy(names, arguments.policy, arguments.sets)
        return load_all(names, arguments.sets, arguments.factory)
    except ScenarioError as error:
        raise UsageError(str(error)) from error


def _one_world(arguments: argparse.Namespace, *, keep_trace: bool) -> tuple[Scenario, str, Any]:
    from sim.world import run_world

    (scenario,) = _load([arguments.scenario], arguments)
    lane = arguments.lane or scenario.lane
    try:
        result = run_world(
            scenario.world_settings(),
            root_seed=scenario.root_seed,
            seed=arguments.seed,
            lane=lane,
            keep_trace=keep_trace,
        )
    except Exception as error:
        said = f"{scenario.name}, seed {arguments.seed}: {type(error).__name__}: {error}"
        raise UsageError(said.replace("\n", " ")) from error
    return scenario, lane, result


# run


def _run(arguments: argparse.Namespace) -> int:
    scenario, lane, result = _one_world(arguments, keep_trace=arguments.trace is not None)
    if arguments.trace is not None:
        _write_trace(arguments.trace, result.records)
    observation = result.observation
    counts = {name: count for name, count in observation["counts"].items() if count}
    if arguments.json:
        say_json(
            {
                "scenario": scenario.name,
                "hash": scenario.hash,
                "root_seed": scenario.root_seed,
                "lane": lane,
                **observation,
                "fingerprint": result.fingerprint,
            }
        )
        return 0
    say(f"{scenario.name}: {scenario.title}")
    say(f"seed {arguments.seed}, root seed {scenario.root_seed}, lane {lane}, profile {scenario.backend.name}")
    say(f"{observation['virtual_seconds']:.3f} virtual seconds, {observation['events']:,} events")
    for name, number in counts.items():
        say(f"  {name.replace('_', ' '):<28} {number:>8,}")
    for name, values in observation["series"].items():
        if values:
            shown = ", ".join(f"{value:.6g}" for value in values[:10]) + (", ..." if len(values) > 10 else "")
            say(f"  {name.replace('_', ' '):<28} {shown}")
    for text in _sentences(observation):
        say(f"! {text}")
    say(f"fingerprint {result.fingerprint}")
    return 0


def _sentences(observation: Mapping[str, Any], conversation: str | None = None) -> list[str]:
    """What went wrong, a sentence per message: of what is told about one, the gravest; or in one conversation only."""
    from reports.claims import TRANSPARENCY_PARTS

    details = observation["details"]
    names = dict.fromkeys([*TRANSPARENCY_PARTS, *details])
    told: dict[str, str] = {}
    for name in names:
        for detail in details.get(name, ()):
            if conversation is not None and detail.get("conversation") != conversation:
                continue
            told.setdefault(str(detail.get("message") or detail["text"]), str(detail["text"]))
    return list(dict.fromkeys(told.values()))


def _write_trace(path: Path, records: Iterable[tuple[float, str, str, Sequence[Any]]]) -> None:
    try:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            for time, entity, kind, fields in records:
                record = {"time": time, "entity": entity, "kind": kind, "fields": list(fields)}
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
    except OSError as error:
        raise UsageError(f"--trace {path}: cannot be written: {(error.strerror or str(error)).lower()}") from error


# verify


def _verify(arguments: argparse.Namespace) -> int:
    return verify(arguments)


def verify(arguments: argparse.Namespace, observe: Observe | None = None) -> int:
    """The command `verify`; `observe` may replace what runs a replication, see `scenarios.runner.run_batches`."""
    from reports.claims import UnknownEventError
    from reports.publish import publish
    from reports.results import build_results, canonical, exit_status
    from scenarios.answer import answer, judge_waits
    from scenarios.progress import reporter
    from scenarios.runner import LostWorkerError, ReplicationError
    from scenarios.timing import code_version, cores, timing

    sequential = _sequential(arguments)
    names = arguments.scenarios or _default_scenarios(arguments.factory)
    folder_name = arguments.name or _folder_name(arguments)
    checked_folder(folder_name, arguments.out)
    scenarios = _load(list(dict.fromkeys(names)), arguments)
    for scenario in scenarios if sequential is not None else ():
        if scenario.strata is not None and scenario.strata.enabled:
            why = "has strata, which cannot be looked at while they come"
            raise UsageError(f"{scenario.origin.given}: {why}; leave --sequential out, or set strata.enabled=false")
    jobs = arguments.jobs or cores()
    version = code_version()  # of what runs now, not of what is there at the end
    costs: dict[str, Cost] = {}
    entries: list[dict[str, Any]] = []
    extra: dict[str, Any] = {}
    said: list[str] = []
    try:
        with reporter(quiet=arguments.quiet) as shown:
            for scenario in scenarios:
                entries.append(_verify_one(scenario, arguments, sequential, jobs, shown, costs, observe))
            if arguments.factory is not None:
                waits: list[dict[str, Any]] = []
                for race in [scenario for scenario in scenarios if scenario.name == "race"]:
                    waits, costs["waits"] = judge_waits(
                        race,
                        replications=arguments.replications,
                        lane=arguments.lane,
                        jobs=jobs,
                        progress=shown.scenario("waits"),
                        observe=observe,
                    )
                    shown.done("waits", costs["waits"], "done")
                extra = {"factory": arguments.factory, "waits": waits}
                said = answer({"scenarios": entries, **extra}, waits)
                extra["answer"] = said
    except (ReplicationError, LostWorkerError, UnknownEventError) as error:
        raise UsageError(_one_line(error, scenarios)) from error
    results = build_results(version, entries, **extra)
    try:
        folder = publish(results, name=folder_name, timing=timing(costs, jobs=jobs), out=arguments.out)
    except OSError as error:
        raise UsageError(f"the results cannot be written: {error}") from error
    if arguments.json:
        say(canonical(results).rstrip("\n"))
    else:
        _print_table(results, folder, said)
    differing = [entry for entry in entries if not entry.get("lane_check", {}).get("equal", True)]
    for entry in differing:
        seed = entry["lane_check"]["first_differing_seed"]
        print(f"relaysim: {entry['scenario']}: the lanes differ at seed {seed}", file=sys.stderr)
    return EXIT_NOT_DETERMINISTIC if differing else exit_status(results)


def _sequential(arguments: argparse.Namespace) -> Sequential | None:
    if not arguments.sequential:
        for option, given in (("--error", arguments.error), ("--max", arguments.maximum)):
            if given is not None:
                raise UsageError(f"{option}: is for --sequential, which was not given")
        return None
    if arguments.replications is not None:
        raise UsageError("--replications: --sequential stops by itself; give --max to say when at the latest")
    from reports.claims import ALPHA
    from scenarios.sequential import Sequential

    return Sequential(ALPHA if arguments.error is None else arguments.error, arguments.maximum)


def _one_line(error: Exception, scenarios: Sequence[Scenario]) -> str:
    from reports.results import replay_command
    from scenarios.runner import ReplicationError

    said = " ".join(str(error).split())
    if isinstance(error, ReplicationError):
        origin = next(scenario.origin for scenario in scenarios if scenario.name == error.scenario)
        settings = {**origin.settings, **dict(error.values)}
        said += f"; see it: {replay_command(origin.given, error.seed, settings=settings, factory=origin.factory)}"
    return said


def _default_scenarios(factory: str | None) -> Sequence[str]:
    if factory is not None:
        from scenarios.answer import OWN_RELAY

        return OWN_RELAY
    from scenarios.load import INCIDENT

    return INCIDENT


def _folder_name(arguments: argparse.Namespace) -> str:
    if arguments.factory is not None:
        return "relay"
    if not arguments.scenarios:
        return "incident"
    return Path(arguments.scenarios[0]).stem if len(arguments.scenarios) == 1 else "verify"


def _verify_one(
    scenario: Scenario,
    arguments: argparse.Namespace,
    sequential: Sequential | None,
    jobs: int,
    shown: Reporter,
    costs: dict[str, Cost],
    observe: Observe | None,
) -> dict[str, Any]:
    from scenarios.verify import verify_scenario

    entry, cost = verify_scenario(
        scenario,
        replications=arguments.replications,
        lane=arguments.lane,
        lane_check=arguments.lane_check,
        jobs=jobs,
        progress=shown.scenario(scenario.name),
        observe=observe,
        sequential=sequential,
    )
    costs[scenario.name] = cost
    surprises = [claim for claim in entry["claims"] if not claim["as_expected"]]
    told = ", ".join(f"{claim['id']} {claim['verdict']}, not {claim['expected']}" for claim in surprises)
    shown.done(scenario.name, cost, told or "as expected")
    return entry


def _print_table(results: Mapping[str, Any], folder: Path, said: Sequence[str]) -> None:
    from reports.terminal import print_report

    def draw(console: Console) -> None:
        print_report(console, results, report=folder / "index.html")
        for line in said:
            console.print(line, markup=False, soft_wrap=True)
        for entry in results["scenarios"]:
            if check := entry.get("lane_check"):
                equal = "the same fingerprints" if check["equal"] else "DIFFERENT FINGERPRINTS"
                console.print(
                    f"Lanes: {entry['scenario']} left {equal} in both for {check['seeds']:,} seeds.", soft_wrap=True
                )

    show(draw)


# compare


def _compare(arguments: argparse.Namespace) -> int:
    return compare(arguments)


def compare(arguments: argparse.Namespace, observe: Observe | None = None) -> int:
    """The command `compare`; `observe` may replace what runs a replication, see `scenarios.runner.run_batches`."""
    from reports.comparison_page import publish_comparison
    from reports.results import canonical
    from scenarios.compare import POLICIES, compare_policies, load_comparison
    from scenarios.problems import ScenarioError
    from scenarios.progress import reporter
    from scenarios.runner import LostWorkerError, ReplicationError, here_on_path
    from scenarios.timing import code_version, cores, timing

    here_on_path()
    try:
        comparison = load_comparison(
            arguments.scenario,
            POLICIES if arguments.policies is None else arguments.policies,
            arguments.sets,
            arguments.settings,
        )
    except ScenarioError as error:
        raise UsageError(str(error)) from error
    name = comparison.scenario.name
    folder_name = arguments.name or f"compare-{name}"
    checked_folder(folder_name, arguments.out)
    jobs = arguments.jobs or cores()
    try:
        with reporter(quiet=arguments.quiet) as shown:
            results, cost = compare_policies(
                comparison,
                code_version=code_version(),
                replications=arguments.replications,
                lane=arguments.lane,
                jobs=jobs,
                progress=shown.scenario(name),
                observe=observe,
            )
            shown.done(name, cost, ", ".join(policy.name for policy in comparison.policies))
    except ReplicationError as error:
        policy, replay = comparison.replay(dict(error.values), error.seed)
        said = " ".join(error.said.split())
        raise UsageError(f"{name} with {policy}, seed {error.seed}: {said}; see it: {replay}") from error
    except LostWorkerError as error:
        raise UsageError(str(error)) from error
    try:
        folder = publish_comparison(
            results, name=folder_name, timing=timing({name: cost}, jobs=jobs), out=arguments.out
        )
    except OSError as error:
        raise UsageError(f"the results cannot be written: {error}") from error
    if arguments.json:
        say(canonical(results).rstrip("\n"))
    else:
        _print_comparison(results, folder)
    return 0


def _print_comparison(results: Mapping[str, Any], folder: Path) -> None:
    from reports.comparison_terminal import print_comparison

    show(lambda console: print_comparison(console, results, report=folder / "index.html"))


# ablate


def _ablate(arguments: argparse.Namespace) -> int:
    return ablate(arguments)


def ablate(arguments: argparse.Namespace, observe: Observe | None = None) -> int:
    """The command `ablate`; `observe` may replace what runs a replication, see `scenarios.runner.run_batches`."""
    from reports.results import canonical, results_folder, write_results, write_timing
    from scenarios.ablations.measure import ROOTS, load_ablations, measure, surprises
    from scenarios.problems import ScenarioError
    from scenarios.progress import reporter
    from scenarios.runner import LostWorkerError, ReplicationError, here_on_path
    from scenarios.timing import code_version, cores, timing

    here_on_path()
    checked_folder("ablate", arguments.out)
    try:
        loaded = load_ablations(arguments.names, arguments.sets, arguments.scenario)
    except ScenarioError as error:
        raise UsageError(str(error)) from error
    version = code_version()
    jobs = arguments.jobs or cores()
    try:
        with reporter(quiet=arguments.quiet) as shown:
            results, cost = measure(
                loaded,
                replications=arguments.replications,
                roots=arguments.root_seeds or ROOTS,
                lane=arguments.lane,
                jobs=jobs,
                progress=shown.scenario("ablations"),
                observe=observe,
            )
            wrong = surprises(results)
            shown.done("ablations", cost, f"{len(wrong)} not as expected" if wrong else "as expected")
    except ReplicationError as error:
        given = ", ".join(f"{path}={value}" for path, value in error.values)
        raise UsageError(f"{error.scenario} with {given}, seed {error.seed}: {' '.join(error.said.split())}") from error
    except LostWorkerError as error:
        raise UsageError(str(error)) from error
    results["code_version"] = version
    try:
        folder = results_folder("ablate", arguments.out)
        write_results(folder, results)
        write_timing(folder, timing({"ablations": cost}, jobs=jobs))
    except OSError as error:
        raise UsageError(f"the results cannot be written: {error}") from error
    if arguments.json:
        say(canonical(results).rstrip("\n"))
    else:
        _print_ablations(results, wrong)
    return 1 if wrong else 0


def _print_ablations(results: Mapping[str, Any], wrong: Sequence[str]) -> None:
    from scenarios.ablations.page import print_ablations

    show(lambda console: print_ablations(console, results, wrong))


# sweep


def _sweep(arguments: argparse.Namespace) -> int:
    return sweep(arguments)


# replay


def _replay(arguments: argparse.Namespace) -> int:
    import shutil

    from reports.timeline import LINES_MAX, conversation_of, render_timeline

    scenario, lane, result = _one_world(arguments, keep_trace=True)
    focus = arguments.conversation
    if focus is not None and focus.isdecimal():
        focus = f"c{focus}"
    width = max(60, shutil.get_terminal_size((120, 25)).columns) if sys.stdout.isatty() else 120
    stories: list[list[str]] = []
    try:
        if arguments.all:
            wrong = _sentences(result.observation)
            for each in [focus] if focus is not None else _conversations(result.records):
                stories.append(render_timeline(result.records, width, each, lines_max=10**9))
        else:
            # The title, the verdicts and the fingerprint included, one story fits on one screen.
            wrong = _sentences(result.observation, conversation_of(result.records, focus))[:2]
            stories.append(render_timeline(result.records, width, focus, lines_max=LINES_MAX - 2 - len(wrong)))
    except ValueError as error:
        raise UsageError(f"--conversation {arguments.conversation}: {error}") from error
    if arguments.json:
        say_json(
            {
                "scenario": scenario.name,
                "seed": arguments.seed,
                "lane": lane,
                "fingerprint": result.fingerprint,
                "stories": stories,
                "wrong": wrong,
            }
        )
        return 0
    say(f"{scenario.name}, seed {arguments.seed}, lane {lane}: {scenario.title}")
    for story in stories:
        for line in story:
            say(line)
    for text in wrong:
        say(f"! {text}")
    say(f"fingerprint {result.fingerprint}")
    return 0


def _conversations(records: Iterable[tuple[float, str, str, Sequence[Any]]]) -> list[str]:
    return list(dict.fromkeys(str(fields[1]) for _, _, kind, fields in records if kind == "message.sent"))


# serve


def _serve(arguments: argparse.Namespace) -> int:
    from scenarios.problems import ScenarioError

    try:
        return serve(arguments)
    except ScenarioError as error:
        raise UsageError(str(error)) from error


# list


def _list(arguments: argparse.Namespace) -> int:
    from scenarios.load import load, shipped
    from scenarios.problems import ScenarioError

    try:
        scenarios = [load(name, check_relay=False) for name in shipped()]
    except ScenarioError as error:
        raise UsageError(str(error)) from error
    if arguments.json:
        say_json([_listed(scenario) for scenario in scenarios])
        return 0
    for scenario in scenarios:
        say(f"{scenario.name}: {scenario.title}")
        say(f"    {scenario.replications:,} replications, lane {scenario.lane}, profile {scenario.backend.name}")
        for claim in scenario.claims:
            built = " (by construction)" if claim.by_construction else ""
            say(f"    {claim.id:<16} {claim.expect:<12}{built} {claim.title}: {claim.reason}")
    return 0


def _listed(scenario: Scenario) -> dict[str, Any]:
    return {
        "name": scenario.name,
        "title": scenario.title,
        "description": " ".join(scenario.description.split()),
        "hash": scenario.hash,
        "replications": scenario.replications,
        "lane": scenario.lane,
        "profile": scenario.backend.name,
        "factory": scenario.relay.factory,
        "claims": [
            {
                "id": claim.id,
                "title": claim.title,
                "kind": claim.kind,
                "expected": claim.expect,
                "by_construction": claim.by_construction,
                "reason": claim.reason,
            }
            for claim in scenario.claims
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
