"""Worlds that take no time and now and then end the process that runs them, for the tests of sweeps.

What happens once happens where a file can still be made: its folder is named by the environment, which worker processes
inherit.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from scenario_stand_ins import observe

from relaysim.sim.world import WorldSettings

#: Names the folder of the files.
FOLDER = "SWEEP_STAND_INS"
SEED = 300


def _first_time(what: str) -> bool:
    try:
        (Path(os.environ[FOLDER]) / what).open("x").close()
    except FileExistsError:
        return False
    return True


def observe_losing_a_worker(settings: WorldSettings, root_seed: int, seed: int, lane: str) -> dict[str, Any]:
    """As `observe`, but the first process to come to the seed is killed."""
    if seed == SEED and _first_time("killed"):
        os.kill(os.getpid(), signal.SIGKILL)
    return observe(settings, root_seed, seed, lane)


def observe_losing_every_worker(settings: WorldSettings, root_seed: int, seed: int, lane: str) -> dict[str, Any]:
    """As `observe`, but every process that comes to the seed is killed."""
    if seed == SEED:
        os.kill(os.getpid(), signal.SIGKILL)
    return observe(settings, root_seed, seed, lane)


def observe_interrupted(settings: WorldSettings, root_seed: int, seed: int, lane: str) -> dict[str, Any]:
    """As `observe`, but an interrupt comes at the seed, once."""
    if seed == SEED and _first_time("interrupted"):
        raise KeyboardInterrupt
    return observe(settings, root_seed, seed, lane)


def observe_stopping(settings: WorldSettings, root_seed: int, seed: int, lane: str) -> dict[str, Any]:
    """As `observe`, but every process that comes to the seed or a later one says so, and then waits for ever."""
    if seed >= SEED:
        with (Path(os.environ[FOLDER]) / "pipe").open("w") as pipe:
            pipe.write("waiting\n")
        while True:
            signal.pause()
    return observe(settings, root_seed, seed, lane)


def observe_rolling(settings: WorldSettings, root_seed: int, seed: int, lane: str) -> dict[str, Any]:
    """As `observe`, but the fingerprint depends on the process."""
    return observe(settings, root_seed, seed, lane) | {"fingerprint": f"{os.getpid():032x}"}
