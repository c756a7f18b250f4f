"""Goal: work that a relay's own code cuts off is told, with both lines, and nothing else is.

Method: one bot that cancels in each way; the records of one world.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from relaysim.scenarios.load import load
from relaysim.sim.world import run_world

BOT = """
import asyncio
async def sleeps(seconds): await asyncio.sleep(seconds)
async def stays():
    try: await asyncio.sleep(9.0)
    except asyncio.CancelledError: pass
class Bot:
    def __init__(self, send): self.tasks = []
    async def handle(self, message):
        for task in self.tasks:
            task.cancel()  # the line
        fresh = asyncio.create_task(sleeps(1.0)); fresh.cancel()
        both = asyncio.gather(sleeps(5.0), stays())
        await asyncio.sleep(0.1)
        both.cancel()
        await asyncio.gather(both, return_exceptions=True)
        try: await asyncio.wait_for(sleeps(5.0), 0.5)
        except TimeoutError: pass
        try:
            async with asyncio.timeout(0.1): await sleeps(5.0)
        except TimeoutError: pass
        done = asyncio.create_task(sleeps(0.0)); await done; done.cancel()
        self.tasks = [asyncio.create_task(sleeps(500.0))]
def make(client, redis, send): return Bot(send)
"""


def test_each_task_that_its_own_code_has_cancelled_is_told_with_both_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cancelling_bot.py").write_text(BOT, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    scenario = load("race", ["workers=[{count=1}]"], "cancelling_bot:make")
    records = run_world(scenario.world_settings(), root_seed=1, seed=0, keep_trace=True).records or []
    told = [tuple(each[3]) for each in records if each[2] == "task.cancelled"]
    file = "cancelling_bot.py"
    own = [(f"{file}:3", f"{file}:12"), (f"{file}:3", f"{file}:15")]
    first, second = "c1.m1#1", "c1.m2#1"
    assert told == [
        *((first, first, *lines) for lines in own),
        (first, second, f"{file}:3", f"{file}:11"),
        *((second, second, *lines) for lines in own),
    ]
