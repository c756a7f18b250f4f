"""What `explore` found, made as small as it gets; or how far it looked without finding anything.

Its statuses: `found`, `nothing found`. That nothing was found is no good news: worlds of a strategy are no sample of
production, and the bound on what they would have shown stands in the title.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any, Final

from relaysim.reports.answers.answer import Answer, Figure, Group, Line, Table
from relaysim.reports.summary import percent
from relaysim.sim.counted import counted

_WHAT_MAX: Final = 90
"""Characters of what is broken that a title has room for."""


def answer_of_exploration(results: Mapping[str, Any]) -> Answer:
    """The answer; a pure function of the results."""
    return _nothing(results) if results["found"] is None else _found(results)


def _found(results: Mapping[str, Any]) -> Answer:
    found = results["found"]
    what = textwrap.shorten(found["what"], _WHAT_MAX, placeholder=" …")
    size = f"{counted(found['messages'], 'message')} and {counted(found['workers'], 'worker')}"
    others = [each.get("title", each["event"]) for each in found["breaches"] if each["event"] != found["event"]]
    return Answer(
        status="found",
        tone="bad",
        title=f"Broken in {results['scenario']}, seed {found['seed']}: {what}; {size} show it",
        found=[
            found["text"],
            f"Found in world {found['seed'] + 1:,} of at most {results['worlds_max']:,}, drawn by the strategy "
            f"{results['strategy']}{_also(others)}.",
            f"Made small in {counted(found['runs'], 'run')}: {_left(found)}.",
            *_passed_over(results),
        ],
        advice=[
            "Read the story below, mend the relay, and keep the file as a test: the second line fails until then.",
            *(
                ["The scenario expects that claim to be refuted; --unexpected passes over it."]
                if found["expected"]
                else []
            ),
        ],
        commands=[found["replay"], found["check"]],
        figures=[_figure(results)],
        table=Table((Group("The choices that are left", tuple(Line((each,)) for each in found["deviations"])),)),
    )


def _left(found: Mapping[str, Any]) -> str:
    choices = len(found["deviations"])
    if not choices:
        return "no fault strikes in it, and everything takes its median"
    are = f"{counted(choices, 'choice')} of faults and durations {'is' if choices == 1 else 'are'} left"
    return f"{are}, {'of which none can be left out' if found['minimal'] else 'some of which may not be needed'}"


def _also(events: list[str]) -> str:
    return f"; broken there too: {', '.join(events)}" if events else ""


def _nothing(results: Mapping[str, Any]) -> Answer:
    worlds = counted(results["worlds"], "world")
    ended = (
        f"The time was over after {worlds} of {results['worlds_max']:,}."
        if results["worlds"] < results["worlds_max"]
        else ""
    )
    met = results["met"]
    ordered = sorted(met, key=lambda each: -each["count"])
    return Answer(
        status="nothing found",
        tone="open",
        title=f"Nothing went wrong in {worlds} of {results['scenario']}: at most {percent(results['rate_bound'])} of such "
        "worlds break what is judged",
        found=[
            f"Drawn by the strategy {results['strategy']}; that bound holds at 95 % for such worlds, which are no sample of "
            "production.",
            *([ended] if ended else []),
            f"They had {counted(results['orders'], 'order')} of five successive key events, and "
            f"{counted(len(met), 'pair')} of a fault and an event that it struck.",
            *_passed_over(results),
        ],
        advice=["There is nothing to mend here. It is no proof: four times as many worlds look further, with:"],
        commands=[results["further"]],
        figures=[_figure(results)],
        table=Table(
            (Group("", tuple(Line((each["fault"], each["event"], f"{each['count']:,}")) for each in ordered)),),
            ("fault", "struck at", "times"),
        ),
    )


def _passed_over(results: Mapping[str, Any]) -> list[str]:
    names = ", ".join(results["passed_over"])
    return [f"Passed over, since {results['scenario']} expects it to be refuted: {names}."] if names else []


def _figure(results: Mapping[str, Any]) -> Figure:
    """In how many of the worlds that were looked at something was found: it ends at the first."""
    bound = results["rate_bound"]
    return Figure(
        what="worlds in which something happened that never may, until the first one",
        where=results["scenario"],
        count=int(results["found"] is not None),
        among=results["worlds"],
        value=int(results["found"] is not None) / results["worlds"] if results["worlds"] else None,
        interval=None if bound is None else (0.0, bound),
    )
