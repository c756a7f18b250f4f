"""Programs on the simulator's clock: is a seed the same world again, how fast are they, and do they fare alike?

    python -m tests.programs.lockstep                     # 20 seeds twice, of the Express bot
    python -m tests.programs.lockstep --bot relay_program # of the relay, in Python
    python -m tests.programs.lockstep --rates             # what is counted, beside its twin in virtual time

A world is identical if its trace is: every message, request, answer, Redis command and text, with its time, in order. What
is printed of speed is of this machine, with whatever else it does, the start of two processes for each world included. A
command, and no test: how long a machine takes is no promise.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import chdir
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from relaysim.scenarios.outside.config import read_config
from relaysim.scenarios.outside.trials import Trials
from tests.programs.node_programs import installed
from tests.programs.twins import CIRCUMSTANCES, COUNTED, Seen, compare, scenario_of, see_twin, worlds_for


class Played(NamedTuple):
    """One world.

    observation  what was seen
    seconds      of real time that it took
    """

    observation: Mapping[str, Any]
    seconds: float


def _folder(bot: str) -> Path:
    """Where its configuration is, with what it needs."""
    folder = Path(__file__).with_name(bot)
    return installed(bot) if (folder / "package.json").is_file() else folder


def play(bot: str, circumstance: str, seeds: int) -> list[Played]:
    """Worlds of a bot, on the simulator's clock."""
    with chdir(_folder(bot)):
        config = read_config(Path("relaysim.toml")).changed(lockstep=True)
        scenario = scenario_of(circumstance, None)
        settings = scenario.world_settings()
        assert settings.provider is not None
        provider = settings.provider.model_copy(update={"path": config.path})
        settings = settings.model_copy(update={"provider": provider})
        played = []
        with Trials(config, seeds) as trials:
            observe = trials.observe_of(scenario.name)
            for seed in range(seeds):
                begun = time.monotonic()
                observation = observe(settings, scenario.root_seed, seed, scenario.lane)
                played.append(Played(observation, time.monotonic() - begun))
        return played


def seen(played: Sequence[Played]) -> Seen:
    """What they showed, as of a bot in real time."""
    rows = [[each.observation["counts"][name] for name in ("messages", *COUNTED)] for each in played]
    return Seen(np.array(rows))


def say_twice(bot: str, circumstance: str, seeds: int) -> bool:
    """Play each seed twice, and say how many worlds were the same; whether at least 19 of 20 were."""
    before = processor_seconds()
    first, again = (play(bot, circumstance, seeds) for _ in range(2))
    used = processor_seconds() - before
    same = [one.observation == other.observation for one, other in zip(first, again, strict=True)]
    virtual = [each.observation["virtual_seconds"] for each in (*first, *again)]
    real = [each.seconds for each in (*first, *again)]
    ratios = np.array(virtual) / np.array(real)
    print(
        f"{bot}, {circumstance}: {sum(same)} of {seeds} seeds identical; {sum(virtual):,.0f} virtual seconds in "
        f"{sum(real):,.0f} s, {sum(virtual) / sum(real):.1f} times real time (worlds: {ratios.min():.1f} to "
        f"{ratios.max():.1f}), {sum(virtual) / used:.1f} virtual seconds per second of processor time",
        flush=True,
    )
    if different := [str(seed) for seed, is_same in enumerate(same) if not is_same]:
        print(f"  different: seeds {', '.join(different)}")
    return sum(same) * 20 >= 19 * seeds


def processor_seconds() -> float:
    """Of this process, and of those that it has started and that have ended."""
    usages = [resource.getrusage(each) for each in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in usages)


def say_rates(bot: str, circumstance: str, messages: int) -> bool:
    """Say what is counted, beside the twin's; whether all intervals overlap."""
    worlds = worlds_for(messages)
    program, twin = seen(play(bot, circumstance, worlds)), see_twin(circumstance, 4 * worlds)
    print(f"\n{circumstance}: {program.messages} messages in lockstep, {twin.messages} of the twin")
    compared = compare(program, twin)
    for each in compared:
        shown = " | ".join(
            f"{rate:6.1%} ({low:6.1%} to {high:6.1%})"
            for rate, (low, high) in zip(each.rates, each.intervals, strict=True)
        )
        print(f"  {each.event:<22} {shown}  {each.likelihood:.2f}{'' if each.overlaps else '  apart'}", flush=True)
    return all(each.overlaps for each in compared)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 1 if worlds were not the same, or rates were apart."""
    parser = argparse.ArgumentParser(description="Play programs on the simulator's clock.")
    parser.add_argument("circumstances", nargs="*", metavar="CIRCUMSTANCE", help=f"of {', '.join(CIRCUMSTANCES)}")
    parser.add_argument("--bot", default="express_bot", help="its folder here; by default express_bot")
    parser.add_argument("--seeds", type=int, default=20, help="each is played twice; by default 20")
    parser.add_argument("--rates", action="store_true", help="what is counted, beside the twin of the Express bot")
    parser.add_argument("--messages", type=int, default=300, help="with --rates: so many at least; by default 300")
    given = parser.parse_args(arguments)
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"Node {version}", flush=True)
    good = True
    for circumstance in given.circumstances or (CIRCUMSTANCES if given.rates else ["bursts"]):
        if given.rates:
            good = say_rates(given.bot, circumstance, given.messages) and good
        else:
            good = say_twice(given.bot, circumstance, given.seeds) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
