"""The command `explore`: look for a world in which something happens that never may, and show it as small as it gets."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relaysim.scenarios.commands.command_line import (
    UsageError,
    add_jobs,
    add_world,
    folder,
    load_scenarios,
    positive_int,
    say,
    say_json,
    writing,
)
from relaysim.sim.counted import counted

if TYPE_CHECKING:
    from relaysim.scenarios.explore.hunting import Breach, Effort
    from relaysim.scenarios.explore.shrinking import Shrunk
    from relaysim.scenarios.model import Scenario
    from relaysim.sim.world.exploration import TapedDraw

EXIT_FOUND = 1

_WORLDS = 300
_STORY_LINES = 14
_DEVIATIONS_SHOWN = 8
_MET_SHOWN = 6


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
    parser.add_argument("--quiet", action="store_true", help="no progress")
    add_jobs(parser)
    add_world(parser)


def explore(arguments: argparse.Namespace) -> int:
    """The command."""
    from relaysim.scenarios.explore.hunting import expected_events, hunt
    from relaysim.scenarios.explore.shrinking import CannotReplayError, shrink
    from relaysim.scenarios.progress import reporter
    from relaysim.scenarios.runner import Cost, LostWorkerError, Progress, ReplicationError
    from relaysim.scenarios.timing import cores

    arguments.sets = [*arguments.sets, f"strategy={arguments.strategy}"]
    (scenario,) = load_scenarios([arguments.scenario], arguments)
    if scenario.tape is not None:
        raise UsageError(
            f"{scenario.origin.given}: has a tape, so there is one world and nothing to look for; replay it"
        )
    lane = arguments.lane or scenario.lane
    try:
        with reporter(quiet=arguments.quiet) as shown:
            progress = shown.scenario(scenario.name)
            found, effort = hunt(
                scenario,
                worlds=arguments.worlds,
                seconds=arguments.seconds,
                lane=lane,
                jobs=arguments.jobs or cores(),
                unexpected=arguments.unexpected,
                progress=lambda done: progress(Progress(done, arguments.worlds, 0.0)),
            )
            cost = Cost(effort.seconds, effort.worlds)
            shown.done(scenario.name, cost, "nothing found" if found is None else f"seed {found.seed}")
        shrunk = None if found is None else shrink(scenario, found.seed, found.breaches[0].event, lane)
    except (ReplicationError, LostWorkerError, CannotReplayError) as error:
        raise UsageError(" ".join(str(error).split())) from error
    kept = None if shrunk is None else _keep(scenario, shrunk, arguments.out)
    passed_over = expected_events(scenario) if arguments.unexpected else ()
    if arguments.json:
        plain = _plain(scenario, effort, () if found is None else found.breaches, shrunk, kept)
        say_json({**plain, "passed_over": list(passed_over)})
    else:
        _say(scenario, effort, shrunk, kept, passed_over)
    return 0 if shrunk is None else EXIT_FOUND


def _keep(scenario: Scenario, shrunk: Shrunk, out: Path | None) -> Path:
    from relaysim.reports.results import write_text
    from relaysim.scenarios.explore.kept import kept_name, kept_text

    place = Path() if out is None else out
    with writing():
        place.mkdir(parents=True, exist_ok=True)
        path = place / f"{kept_name(scenario, shrunk)}.toml"
        write_text(path, kept_text(scenario, shrunk))
    return path


def _say(
    scenario: Scenario, effort: Effort, shrunk: Shrunk | None, kept: Path | None, passed_over: Sequence[str]
) -> None:
    if shrunk is None:
        say(
            f"Nothing went wrong in {counted(effort.worlds, 'world')} of {scenario.name}, drawn by the strategy "
            f"{scenario.strategy}."
        )
        say(
            f"At most {100 * effort.rate_bound():.2g} % of such worlds break something that is judged (95 %); worlds of a "
            "strategy are no sample of production."
        )
    else:
        case = shrunk.case
        say(f"{shrunk.breach.event} in {scenario.name}, seed {shrunk.seed}: {shrunk.breach.text}")
        messages, workers = len(case.settings.workload.messages), sum(group.count for group in case.settings.workers)
        size = (
            f"{counted(case.deviations, 'deviation')}, {counted(messages, 'message')} and {counted(workers, 'worker')}"
        )
        say(f"Shrunk to {size}, in {counted(shrunk.runs, 'run')} and {shrunk.seconds:.1f} s:")
        if not shrunk.is_minimal:
            say("  (it ended there: some of these may not be needed)")
        deviations = deviations_of(shrunk)
        for text in deviations[:_DEVIATIONS_SHOWN]:
            say(f"  {text}")
        if len(deviations) > _DEVIATIONS_SHOWN:
            say(f"  and {len(deviations) - _DEVIATIONS_SHOWN} more, which stand in {kept}")
        for line in story_of(scenario, shrunk):
            say(line)
        say(f"See it: relaysim replay {kept} --seed 0; once it is mended this passes: relaysim verify {kept}")
    if passed_over:
        say(f"Passed over, since {scenario.name} expects it to be refuted: {', '.join(passed_over)}.")
    met = ", ".join(f"{fault} at {event} {count:,}" for (fault, event), count in effort.met.most_common(_MET_SHOWN))
    say(
        f"Looked at {counted(effort.worlds, 'world')}, {counted(len(effort.orders), 'order')} of five "
        "successive key events, "
        f"{counted(len(effort.met), 'pair')} of a fault and an event that it struck"
        + (f" (most often {met})." if met else ".")
    )


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
    """The timeline of the conversation in which it goes wrong, about a dozen lines."""
    from relaysim.reports.timeline import render_timeline
    from relaysim.sim.backends import backend_named

    roles = backend_named(scenario.api).roles
    records = shrunk.result.records or []
    return render_timeline(
        records,
        120,
        shrunk.breach.subject,
        lines_max=_STORY_LINES,
        roles=roles,
        looks=shrunk.result.observation["looks"],
        breach={
            "kind": shrunk.breach.event,
            "conversation": shrunk.breach.conversation,
            "message": shrunk.breach.subject,
        },
    )


def _plain(
    scenario: Scenario, effort: Effort, breaches: Sequence[Breach], shrunk: Shrunk | None, kept: Path | None
) -> dict[str, Any]:
    plain: dict[str, Any] = {
        **scenario.identity(),
        "strategy": scenario.strategy,
        "worlds": effort.worlds,
        "orders": len(effort.orders),
        "met": [
            {"fault": fault, "event": event, "count": count} for (fault, event), count in sorted(effort.met.items())
        ],
        "rate_bound": effort.rate_bound() if shrunk is None else None,
        "found": None,
    }
    if shrunk is not None:
        plain["found"] = {
            "seed": shrunk.seed,
            "breaches": [{"event": each.event, "text": each.text} for each in breaches],
            "text": shrunk.breach.text,
            "deviations": deviations_of(shrunk),
            "minimal": shrunk.is_minimal,
            "messages": len(shrunk.case.settings.workload.messages),
            "workers": sum(group.count for group in shrunk.case.settings.workers),
            "story": list(story_of(scenario, shrunk)),
            "kept": str(kept),
        }
    return plain
