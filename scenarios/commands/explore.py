"""The command `explore`: look for a world in which something happens that never may, and show it as small as it gets."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relaysim.scenarios.commands.command_line import (
    UsageError,
    add_jobs,
    add_world,
    folder,
    load_scenarios,
    positive_int,
    say_json,
    show,
    writing,
)

if TYPE_CHECKING:
    from relaysim.scenarios.explore.hunting import Breach
    from relaysim.scenarios.explore.shrinking import Shrunk
    from relaysim.scenarios.model import Scenario
    from relaysim.sim.world.exploration import TapedDraw

EXIT_FOUND = 1

_WORLDS = 300


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    from relaysim.scenarios.commands.verify import STRATEGIES

    parser.add_argument("scenario", metavar="SCENARIO", help="a shipped scenario's name, or a path")
    parser.add_argument(
        "--strategy", choices=STRATEGIES, default="portfolio", help="how worlds are drawn; by default portfolio"
    )
    parser.add_argument(
        "--worlds", type=positive_int, default=_WORLDS, metavar="N", help=f"at most so many; by default {_WORLDS}"
    )
    parser.add_argument(
        "--seconds", type=positive_int, metavar="T", help="begin no further world after so many seconds of real time"
    )
    parser.add_argument(
        "--unexpected",
        action="store_true",
        help="pass over claims that the scenario itself expects to be refuted, and stop only at what else goes wrong",
    )
    parser.add_argument("--out", type=folder, metavar="DIR", help="where what was found is kept; by default here")
    parser.add_argument(
        "--full", action="store_true", help="print every choice of the world that is left, and every fault that struck"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")
    add_jobs(parser)
    add_world(parser)


def explore(arguments: argparse.Namespace) -> int:
    """The command."""
    from relaysim.reports.answers import with_answer
    from relaysim.reports.exploration_terminal import print_exploration
    from relaysim.reports.results import SCHEMA
    from relaysim.scenarios.explore.hunting import expected_events, hunt
    from relaysim.scenarios.explore.kept import kept_name
    from relaysim.scenarios.explore.shrinking import CannotReplayError, shrink
    from relaysim.scenarios.progress import reporter
    from relaysim.scenarios.runner import Cost, LostWorkerError, ReplicationError
    from relaysim.scenarios.timing import code_version, cores

    arguments.sets = [*arguments.sets, f"strategy={arguments.strategy}"]
    (scenario,) = load_scenarios([arguments.scenario], arguments)
    if scenario.tape is not None:
        raise UsageError(
            f"{scenario.origin.given}: has a tape, so there is one world and nothing to look for; replay it"
        )
    lane = arguments.lane or scenario.lane
    try:
        with reporter(quiet=arguments.quiet) as shown:
            jobs = arguments.jobs or cores()
            shown.plan(
                scenario.name,
                {scenario.name: arguments.worlds},
                jobs=jobs,
                at_most=True,
                seconds_max=arguments.seconds,
            )
            shown.part(scenario.name)
            found, effort = hunt(
                scenario,
                worlds=arguments.worlds,
                seconds=arguments.seconds,
                lane=lane,
                jobs=jobs,
                unexpected=arguments.unexpected,
                progress=lambda done: shown.passed(scenario.name, 1),
            )
            cost = Cost(effort.seconds, effort.worlds)
            shown.done(scenario.name, cost, "nothing found" if found is None else f"seed {found.seed}")
            shown.last("making what was found small")
            shrunk = None if found is None else shrink(scenario, found.seed, found.breaches[0].event, lane)
    except (ReplicationError, LostWorkerError, CannotReplayError) as error:
        raise UsageError(" ".join(str(error).split())) from error
    passed_over = expected_events(scenario) if arguments.unexpected else ()
    results: dict[str, Any] = {
        **scenario.identity(),
        "schema": SCHEMA,
        "kind": "exploration",
        "code_version": code_version(),
        "lane": lane,
        "strategy": scenario.strategy,
        "worlds": effort.worlds,
        "worlds_max": arguments.worlds,
        "orders": len(effort.orders),
        "met": [
            {"fault": fault, "event": event, "count": count} for (fault, event), count in sorted(effort.met.items())
        ],
        "rate_bound": effort.rate_bound() if shrunk is None else None,
        "passed_over": list(passed_over),
        "further": _further(scenario, arguments),
        "found": None,
    }
    files: list[tuple[str, Path]] = []
    if found is not None and shrunk is not None:
        kept = (Path() if arguments.out is None else arguments.out) / f"{kept_name(scenario, shrunk)}.toml"
        results["found"] = _found(scenario, found.breaches, shrunk, kept)
        files = _keep(scenario, shrunk, kept, results)
    results = with_answer(results)
    if arguments.json:
        say_json(results)
    else:
        show(lambda console: print_exploration(console, results, files, full=arguments.full))
    return 0 if shrunk is None else EXIT_FOUND


def _further(scenario: Scenario, arguments: argparse.Namespace) -> str:
    """The same hunt in four times as many worlds."""
    parts = [scenario.origin.explore_command, f"--worlds {4 * arguments.worlds}"]
    if scenario.strategy != "portfolio":
        parts.append(f"--strategy {scenario.strategy}")
    if arguments.lane is not None:
        parts.append(f"--lane {arguments.lane}")
    return " ".join([*parts, *(["--unexpected"] if arguments.unexpected else [])])


def _keep(scenario: Scenario, shrunk: Shrunk, kept: Path, results: Mapping[str, Any]) -> list[tuple[str, Path]]:
    """Write the small world as a scenario file, and its page beside it; returns both with their names."""
    from relaysim.reports.exploration_page import exploration_html
    from relaysim.reports.results import write_text
    from relaysim.scenarios.explore.kept import kept_text
    from relaysim.scenarios.first_failures import told_as_lanes

    story = {
        "title": f"{what_is_broken(scenario, shrunk.breach.event)}: {results['scenario']}, seed {shrunk.seed}, made small",
        "text": shrunk.breach.text,
        "replay": [results["found"]["replay"]],
        **told_as_lanes(scenario, shrunk.result, _detail(shrunk)),
    }
    page = kept.with_suffix(".html")
    with writing():
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_text(kept, kept_text(scenario, shrunk))
        write_text(page, exploration_html(results, story))
    return [("Kept", kept), ("Page", page)]


def _found(scenario: Scenario, breaches: Sequence[Breach], shrunk: Shrunk, kept: Path) -> dict[str, Any]:
    """What was found, as results have it."""
    from relaysim.scenarios.explore.hunting import expected_events

    file = shlex.quote(str(kept))
    return {
        "seed": shrunk.seed,
        "event": shrunk.breach.event,
        "what": what_is_broken(scenario, shrunk.breach.event),
        "expected": shrunk.breach.event in expected_events(scenario),
        "breaches": [
            {"event": each.event, "title": what_is_broken(scenario, each.event), "text": each.text} for each in breaches
        ],
        "text": shrunk.breach.text,
        "deviations": deviations_of(shrunk),
        "minimal": shrunk.is_minimal,
        "runs": shrunk.runs,
        "messages": len(shrunk.case.settings.workload.messages),
        "workers": sum(group.count for group in shrunk.case.settings.workers),
        "story": list(story_of(scenario, shrunk)),
        "kept": str(kept),
        "replay": f"relaysim replay {file} --seed 0",
        "check": f"relaysim verify {file}",
    }


def what_is_broken(scenario: Scenario, event: str) -> str:
    """A count that must stay 0, by the title of the scenario's claim about it, else by what a breach of the promise is."""
    from relaysim.sim.world.invariants import BREACH_TITLES, INVARIANTS

    for claim in scenario.claims:
        if claim.event == event:
            return f"“{claim.title}”"
    names = [name for name, count in INVARIANTS.items() if count == event]
    return f"{BREACH_TITLES[names[0]]} ({names[0]})" if names else event


def deviations_of(shrunk: Shrunk) -> list[str]:
    """The choices of a failure's world, a line for each."""
    strikes = [f"strikes: {_draw(each)}" for each in shrunk.case.tape.strikes]
    return strikes + [f"takes {each.value:.4g} s: {_draw(each)}" for each in shrunk.case.tape.seconds]


def _draw(draw: TapedDraw) -> str:
    from relaysim.sim.kernel import ALL_OF

    if draw.entity.endswith(ALL_OF):
        return f"each of {draw.entity.removesuffix(ALL_OF)}'s {draw.purpose}"
    last = f" to {draw.index + draw.times}" if draw.times > 1 else ""
    return f"{draw.entity}, {draw.purpose}, number{'s' * (draw.times > 1)} {draw.index + 1}{last}"


def story_of(scenario: Scenario, shrunk: Shrunk) -> Sequence[str]:
    """The timeline of the conversation in which it goes wrong, a screen of it."""
    from relaysim.reports.exploration_terminal import STORY_COLUMNS, STORY_LINES
    from relaysim.reports.timeline import render_timeline
    from relaysim.scenarios.breached import subject_of
    from relaysim.sim.backends import backend_named

    detail = _detail(shrunk)
    return render_timeline(
        shrunk.result.records or [],
        STORY_COLUMNS,
        subject_of(detail),
        lines_max=STORY_LINES,
        roles=backend_named(scenario.api).roles,
        looks=shrunk.result.observation["looks"],
        breach=detail,
    )


def _detail(shrunk: Shrunk) -> Mapping[str, Any]:
    """What the small world's observation says of its first breach."""
    details = shrunk.result.observation["details"].get(shrunk.breach.event)
    return details[0] if details else {"kind": shrunk.breach.event}
