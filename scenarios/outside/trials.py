"""Trials of a program: worlds around copies of it, several at once, each with copies and a Redis of its own."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

from relaysim.scenarios.model import Scenario
from relaysim.scenarios.outside.config import STANDARD_ENVIRONMENT, JudgeConfig, environment_of
from relaysim.scenarios.runner import Lane
from relaysim.sim.kernel import Record
from relaysim.sim.outside.lockstep_world import LockstepWorld
from relaysim.sim.outside.outside_world import OutsideWorld
from relaysim.sim.outside.program_settings import ProgramSettings
from relaysim.sim.outside.programs import Guard
from relaysim.sim.outside.redis_server import Place
from relaysim.sim.world.session import Session
from relaysim.sim.world.settings import WorldSettings

_FIRST_MAX: Final = 900_000


class KeptWorld(NamedTuple):
    """What a trial left: its observation with its trace, as `relaysim.sim.world.Result` has them."""

    observation: Mapping[str, Any]
    fingerprint: str
    records: list[Record]


class Trials:
    """Runs trials when they are asked for, and those of the next seeds with them. A context manager.

    Args:
        config: how the program is started and reached.
        seeds: how many there will be at the most.

    Attributes:
        heard: told what each world left, as soon as it has ended.
    """

    heard: Callable[[Mapping[str, Any]], object] | None = None

    def __init__(self, config: JudgeConfig, seeds: int) -> None:
        self._config = config
        self._seeds = seeds
        # Who plays against the same program or Redis again meets what is left of the last time: those customers are others.
        self._first = secrets.randbelow(_FIRST_MAX) if config.is_shared else 0
        self._kept: dict[str, KeptWorld] = {}
        self._stack = ExitStack()
        self._session: Session | None = None
        self.folder = Path()

    def __enter__(self) -> Trials:
        self._guard = guard = self._stack.enter_context(Guard())
        self.folder = Path(tempfile.mkdtemp(prefix="relaysim-judge-"))
        guard.remove(self.folder)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def kept(self, scenario: Scenario, lane: Lane, seed: int) -> KeptWorld | None:
        """The trial of this scenario's seed, see `relaysim.scenarios.first_failures`."""
        return self._kept.get(f"{scenario.name} {seed}")

    def observe_of(self, scenario: str) -> Any:
        """What runs the replications of a scenario, see `relaysim.scenarios.runner.run_batches`."""

        def observe(settings: WorldSettings, root_seed: int, seed: int, lane: Lane) -> Mapping[str, Any]:
            name = f"{scenario} {seed}"
            if name not in self._kept and self._config.lockstep:
                self._run_lockstep(scenario, settings, root_seed, seed)
            if name not in self._kept:
                last = min(self._seeds, seed + self._config.worlds_at_once)
                asyncio.run(self._run(scenario, settings, root_seed, range(seed, max(last, seed + 1))))
            return self._kept[name].observation

        return observe

    def _run_lockstep(self, scenario: str, settings: WorldSettings, root_seed: int, seed: int) -> None:
        if self._session is None:
            self._session = self._stack.enter_context(Session())
        self._session.collect_last_world()
        world = LockstepWorld(settings, root_seed, seed, self._program(scenario, settings, seed), self._guard)
        try:
            self._session.run(world)
        finally:
            world.end_programs()
        self._keep(scenario, seed, world.observation(), world, world.judged_records)

    async def _run(self, scenario: str, settings: WorldSettings, root_seed: int, seeds: range) -> None:
        worlds = {}
        for seed in seeds:
            world = self._world(scenario, settings, root_seed, seed)
            worlds[asyncio.create_task(self._trial(scenario, seed, world))] = world
        try:
            await asyncio.wait(worlds, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            # One that is clearing up is left to it: it would leave something behind else.
            for task, world in worlds.items():
                if not task.done() and not world.is_ending:
                    task.cancel()
            ended = await asyncio.gather(*worlds, return_exceptions=True)
        for error in ended:
            if isinstance(error, BaseException) and not isinstance(error, asyncio.CancelledError):
                raise error

    def _world(self, scenario: str, settings: WorldSettings, root_seed: int, seed: int) -> OutsideWorld:
        program = self._program(scenario, settings, seed)
        return OutsideWorld(settings, root_seed, seed, program, self._guard, speed=self._config.speed)

    def _program(self, scenario: str, settings: WorldSettings, seed: int) -> ProgramSettings:
        folder = self.folder / f"{scenario}-{seed}"
        folder.mkdir(parents=True)
        return ProgramSettings(
            command=self._config.command,
            copies=self._config.copies,
            webhook=self._config.webhook,
            environment={**STANDARD_ENVIRONMENT, **environment_of(settings), **self._config.environment},
            logs=folder,
            ready=self._config.ready,
            redis=None if self._config.redis is None else Place.of(self._config.redis),
            api_port=self._config.port if self._config.runs_already else 0,
            verifies=self._config.verification,
            others=self._first + seed * settings.workload.conversations if self._config.is_shared else 0,
        )

    async def _trial(self, scenario: str, seed: int, world: OutsideWorld) -> None:
        observation = await world.run()
        self._keep(scenario, seed, observation, world, world.kernel.trace.records)

    def _keep(
        self,
        scenario: str,
        seed: int,
        observation: Mapping[str, Any],
        world: OutsideWorld | LockstepWorld,
        records: Sequence[Record],
    ) -> None:
        fingerprint = world.kernel.trace.fingerprint()
        kept = {**observation, "fingerprint": fingerprint, "fault_hits": world.fault_hits}
        self._kept[f"{scenario} {seed}"] = KeptWorld(kept, fingerprint, list(records))
        if self.heard is not None:
            self.heard(kept)
