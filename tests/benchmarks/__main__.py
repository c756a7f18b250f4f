"""`python -m tests.benchmarks [--quick] [--json FILE]`: how fast the simulator is, and where the rest goes.

Everything is measured side by side in one run, in interleaved rounds, in CPU time; wall time goes into the JSON file.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import json
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from relaysim.scenarios.load import load
from relaysim.sim.doors import SimTransport, keyed_retry_jitter
from relaysim.sim.kernel import Fence
from relaysim.sim.world import Session, World, WorldSettings, run_world
from tests.benchmarks import recording_relay, start_up, telemetry
from tests.benchmarks.bench_server import STEPS, memory, throughput
from tests.benchmarks.calls import Script, client_on, conversation, record_conversations, replay
from tests.benchmarks.layers import shares
from tests.benchmarks.loops import LOOPS
from tests.benchmarks.measure import Timing, interleave, machine, ratio

GOAL_SDK_RATIO = 0.85
GOAL_DIRECT_PER_SECOND = 500.0
GOAL_RESPONSES_RATIO = 0.8


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: a first look")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures there")
    options = parser.parse_args()
    rounds, size = (5, 0.3) if options.quick else (15, 1.0)
    warnings.filterwarnings("ignore", category=DeprecationWarning)

    where = {
        "command": "python -m tests.benchmarks" + (" --quick" if options.quick else ""),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        **machine(),
    }
    print(f"{where['command']}, {where['date']}, {where['cpus']} CPUs, {where['platform']}, {where['python']}")
    print(f"{rounds} interleaved rounds; per second of CPU time; median (least - greatest)\n")
    figures: dict[str, Any] = {"where": where}
    with Session():  # imports and warms up; what is measured below enters its own
        pass
    figures["requests"] = _requests(2 * rounds, 0.5 * size)  # a ratio: rather more and shorter rounds
    figures["replications"] = _replications(rounds, size)
    figures["layers"] = _layers(size)
    figures["loops"] = _loops(rounds)
    print()
    figures["telemetry"] = telemetry.calls(2 * rounds)
    figures["imports"] = telemetry.imports(rounds)
    figures["start-up"] = start_up.commands(rounds)
    figures["server"] = {
        "requests": throughput(rounds, round(20_000 * size)),
        "memory": memory((5_000, 20_000) if options.quick else STEPS),
    }
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


# a. Requests


def _requests(rounds: int, size: float) -> dict[str, Any]:
    seeds = range(max(2, round(8 * size)))
    conversations = record_conversations(seeds)
    race, root_seed = _settings("race")
    recorded_race = race.model_copy(
        update={"relay": race.relay.model_copy(update={"factory": f"{recording_relay.__name__}:recorded"})}
    )
    races = []
    with Session() as session:
        for seed in seeds:
            world = World(recorded_race, root_seed, seed, "sdk")
            session.run(world)
            races += vars(world.network)["scripts"]
    race_requests = sum(len(script.answers) for script in races)

    fence = Fence()

    def simulated() -> int:
        return sum(conversation(fence, seed, lambda *place: client_on(SimTransport(*place))) for seed in seeds)

    def whole_worlds() -> int:
        for seed in seeds:
            run_world(race, root_seed=root_seed, seed=seed, lane="sdk")
        return race_requests

    contenders: dict[str, Any] = {
        "conversation, canned answers on asyncio": lambda: _replayed(conversations),
        "conversation, simulated": (lambda: _fenced(fence), simulated),
        "race, canned answers on asyncio": lambda: _replayed(races),
        "race, whole worlds (relay, Redis, observation)": (Session, whole_worlds),
    }
    timings = interleave(contenders, rounds)
    collected = interleave(
        {"conversation, canned, collector on": lambda: _replayed(conversations)}, rounds, collector=True
    )
    print(f"SDK requests, lane sdk, {rounds} rounds (garbage collector off for all but the last row)")
    _table({**timings, **collected}, "requests/s")
    kept = ratio(timings["conversation, simulated"], timings["conversation, canned answers on asyncio"])
    whole = ratio(timings["race, whole worlds (relay, Redis, observation)"], timings["race, canned answers on asyncio"])
    _verdict("simulated / canned, the same calls", kept, GOAL_SDK_RATIO)
    _verdict("with relay, Redis and observation", whole)
    print()
    return {
        "timings": {name: timing.as_dict() for name, timing in {**timings, **collected}.items()},
        "simulated_of_canned": kept,
        "whole_worlds_of_canned": whole,
        "goal": GOAL_SDK_RATIO,
    }


def _replayed(scripts: list[Script]) -> int:
    return asyncio.run(replay(scripts))


@contextmanager
def _fenced(fence: Fence) -> Iterator[None]:
    with fence, keyed_retry_jitter():
        yield


# b. Replications


def _settings(name: str) -> tuple[WorldSettings, int]:
    scenario = load(name)
    return scenario.world_settings(), scenario.root_seed


def _replications(rounds: int, size: float) -> dict[str, Any]:
    def worlds(name: str, lane: Any, count: int) -> Any:
        settings, root_seed = _settings(name)
        count = max(2, round(count * size))

        def run() -> int:
            for seed in range(count):
                run_world(settings, root_seed=root_seed, seed=seed, lane=lane)
            return count

        return run

    with Session():
        timings = interleave(
            {
                "race, direct": worlds("race", "direct", 150),
                "responses_race, direct": worlds("responses_race", "direct", 150),
                "race, sdk": worlds("race", "sdk", 20),
                "incident, direct": worlds("incident", "direct", 150),
                "incident, sdk": worlds("incident", "sdk", 20),
                "drain_faults, direct": worlds("drain_faults", "direct", 3),
            },
            rounds,
        )
    print("Replications on one core, fingerprint and observation included")
    _table(timings, "replications/s")
    direct = timings["race, direct"]
    _verdict(
        "race, direct, replications/s",
        (direct.median, min(direct.per_cpu_second), max(direct.per_cpu_second)),
        GOAL_DIRECT_PER_SECOND,
    )
    # Both have one conversation, two workers and two messages, of which the second meets the first one's turn.
    responses = ratio(timings["responses_race, direct"], direct)
    _verdict("a race on Responses / one on Threads, direct", responses, GOAL_RESPONSES_RATIO)
    print()
    return {
        "timings": {name: timing.as_dict() for name, timing in timings.items()},
        "responses_of_threads": responses,
        "goal_responses_of_threads": GOAL_RESPONSES_RATIO,
        "goal_race_direct": GOAL_DIRECT_PER_SECOND,
    }


# c. Layers


def _layers(size: float) -> dict[str, Any]:
    settings, root_seed = _settings("race")
    found: dict[str, dict[str, float]] = {}
    for lane, count in (("direct", 300), ("sdk", 40)):

        def work(lane: Any = lane, count: int = max(2, round(count * size))) -> None:
            for seed in range(count):
                run_world(settings, root_seed=root_seed, seed=seed, lane=lane)

        found[lane] = shares(work)
    print("Where the time of race goes (cProfile's own times by package)")
    print(f"  {'':34}{'direct':>8}{'sdk':>8}")
    for layer, share in found["direct"].items():
        print(f"  {layer:34}{share:8.1%}{found['sdk'][layer]:8.1%}")
    print()
    return found


# d. Loops


def _loops(rounds: int) -> dict[str, Any]:
    timings = interleave(LOOPS, rounds)
    print("Bare loops")
    _table(timings, "per second")
    ratios = {}
    for what in ("timers", "ready steps"):
        ratios[what] = ratio(timings[f"{what}, kernel"], timings[f"{what}, asyncio"])
        _verdict(f"{what}, kernel / asyncio", ratios[what])
    return {"timings": {name: timing.as_dict() for name, timing in timings.items()}, "ratios": ratios}


# Printing


def _table(timings: dict[str, Timing], unit: str) -> None:
    for name, timing in timings.items():
        low, high = min(timing.per_cpu_second), max(timing.per_cpu_second)
        print(f"  {name:50}{timing.median:11,.0f} {unit}  ({low:,.0f} - {high:,.0f})")


def _verdict(what: str, figure: tuple[float, float, float], goal: float | None = None) -> None:
    shown = [f"{value:,.0f}" if value >= 50 else f"{value:.2f}" for value in figure]
    said = ""
    if goal is not None:
        said = f"   goal {goal:g}: {'reached' if figure[0] >= goal else 'missed'}"
    print(f"  -> {what}: {shown[0]} ({shown[1]} - {shown[2]}){said}")


if __name__ == "__main__":
    sys.exit(main())
