"""Goal: a loop of Python's own, which wakes itself by a pair of sockets, takes virtual time in a thread of a worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from relaysim.scenarios.load import load
from relaysim.sim.world import run_world

BOT = """
import asyncio, threading, time
class Bot:
    def __init__(self, send): self.send = send
    def handle(self, message):
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            self.send(message.conversation, runner.run(self.answer()))
    async def answer(self):
        loop = asyncio.get_running_loop()
        told = loop.create_future()
        def tell():
            time.sleep(1.5)
            loop.call_soon_threadsafe(told.set_result, "Sorry")
        threading.Thread(target=tell).start()
        await asyncio.sleep(0.25)
        return await told
def make(client, redis, send): return Bot(send)
"""


def test_it_sleeps_and_is_woken_by_another_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "selecting_bot.py").write_text(BOT, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    scenario = load("race", factory="selecting_bot:make")
    records = run_world(scenario.world_settings(), root_seed=1, seed=0, keep_trace=True).records or []
    taken = [time for time, _, kind, _ in records if kind == "handling.start"]
    assert [time for time, _, kind, _ in records if kind == "send"] == [time + 1.5 for time in taken]
    assert len(taken) == 2
    assert "exception" not in [kind for _, _, kind, _ in records]
