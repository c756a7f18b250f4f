"""A world whose customers are people, and in which things go wrong when somebody presses a button."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import httpx2

from relaysim.scenarios.demo.answers import answer, tag_of
from relaysim.scenarios.demo.chat_view import ChatView, copy_name
from relaysim.scenarios.outside.config import STANDARD_ENVIRONMENT, WEBHOOK, environment_of
from relaysim.sim.backends import backend_named
from relaysim.sim.backends.profile import load_profile
from relaysim.sim.backends.threads.service_with_lives import threads_of
from relaysim.sim.outside.outside_world import OutsideWorld
from relaysim.sim.outside.program_settings import ProgramSettings
from relaysim.sim.outside.program_worker import ProgramTarget, ProgramWorker
from relaysim.sim.outside.programs import Guard
from relaysim.sim.world.settings import WorldSettings
from relaysim.sim.world.target import SentMessage

CUSTOMERS: Final = ("Ana", "Bruno", "Clara")
COPIES: Final = 2
RESTART_SECONDS: Final = 4.0
REDIS_SECONDS: Final = 5.0
DELIVERED_AGAIN_SECONDS: Final = 2.0

RELAYS: Final[Mapping[str, tuple[str, str]]] = {
    "drain": ("relaysim.relay.program", "drain, the relay of this project"),
    "fix": ("relaysim.scenarios.demo.fix_program", "the incident's fix, cancel-and-retry"),
}
"""The modules that can answer, and what they are called."""

POLICY: Final = """\
# drain, with less patience than in production, since runs of the demo take a few seconds.
schema = 1
policy = "drain"

[settings]
run_patience_seconds = 12.0
thread_patience_seconds = 3.0
lease_seconds = 4.0
sweep_seconds = 1.0
store_timeout_seconds = 1.0
"""

_PROFILE: Final[Mapping[str, Any]] = {
    "queue_seconds": {"kind": "uniform", "low": 0.5, "high": 1.2},
    "run_seconds": {"kind": "uniform", "low": 3.0, "high": 5.0},
    "cancel_seconds": {"kind": "constant", "value": 0.6},
    "request_seconds": {"kind": "constant", "value": 0.1},
    "webhook_seconds": {"kind": "constant", "value": 0.2},
    "send_seconds": {"kind": "constant", "value": 0.3},
    "stuck_probability": 0.0,
    "slow_probability": 0.0,
}
_LOOK_SECONDS: Final = 0.1
_READY_EVERY: Final = 5  # looks


def settings() -> WorldSettings:
    """The world: three customers who write what they are told to, and a Redis that can be away."""
    profile = load_profile("typical", _PROFILE, backend_named("threads").profile)
    tables: dict[str, Any] = {
        "profile": profile,
        "relay": {"factory": "relaysim.sim.outside:program"},
        # A workload has a message; `_begin` starts nobody, since people write.
        "workload": {
            "conversations": len(CUSTOMERS),
            "messages": [{"at_seconds": 0.0}],
            "try_again_seconds": False,
        },
        # As WhatsApp delivers again, at once and then later and later; later is a minute there, and here less.
        "provider": {"kind": "whatsapp", "repeat_seconds": [0.0, *[DELIVERED_AGAIN_SECONDS] * 200]},
        # Never by itself: when somebody presses the button.
        "redis_faults": [{"kind": "away", "at_seconds": 0.0, "seconds": REDIS_SECONDS, "probability": 0.0}],
    }
    return WorldSettings.model_validate(tables)


def program_settings(given: WorldSettings, folder: Path) -> ProgramSettings:
    """How the relay's copies are started. `folder` is for what they print, for Redis and for the policy file."""
    policy = folder / "policy.toml"
    policy.write_text(POLICY, encoding="utf-8")
    return ProgramSettings(
        command=_command("drain"),
        copies=COPIES,
        webhook=WEBHOOK,
        environment={
            **STANDARD_ENVIRONMENT,
            **environment_of(given),
            "RELAY_PROVIDER": "whatsapp",
            "RELAY_API": "threads",
            "RELAY_ASSISTANT_ID": "asst_relaysim",
            "RELAY_PORT": "{port}",
            "RELAY_POLICY_FILE": str(policy),
            "WHATSAPP_API_URL": "{provider}/v26.0",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        },
        logs=folder,
        ready="/readyz",
    )


class ChatWorld(OutsideWorld):
    """Lives in `run`, until that is cancelled.

    Args:
        folder: for what is written.
        guard: ends what is started if this process does not.

    Attributes:
        begun: set once people can write.
        relay: which one answers.
    """

    def __init__(self, folder: Path, guard: Guard) -> None:
        given = settings()
        super().__init__(given, 0, 0, program_settings(given, folder), guard)
        self.server.api.set_replier(answer)
        self.begun = asyncio.Event()
        self.relay = "drain"
        self.view = ChatView({f"c{number}": name for number, name in enumerate(CUSTOMERS, 1)})
        self._read = 0
        self._next_twice = self._next_stuck = False
        self._state: dict[int, str] = {}

    # What people do

    def write(self, customer: int, text: str) -> None:
        """A customer, counting from 1, writes."""
        with self.server.present():
            self._customer_of[f"c{customer}"].write(text=text)

    def post(self, message: SentMessage, worker: int | None, soon: float | None = None) -> None:
        """As of any world; or twice, if somebody wanted that."""
        super().post(message, worker, soon)
        if self._next_twice:
            self._next_twice = False
            self._webhooks.post(message, None, 0.8)

    def kill(self, copy: int) -> None:
        """SIGKILL for a copy, counting from 1; it starts again after a while. One that does not run is left alone."""
        worker = self.workers[copy - 1]
        if worker.alive:
            with self.server.present():
                self._crash(worker, RESTART_SECONDS)

    def send_redis_away(self) -> None:
        """Redis is away for a while, unless it is already."""
        assert self._proxy is not None
        if not self._proxy.is_away:
            with self.server.present():
                self._proxy.begin_now(0)

    def let_next_come_twice(self, *, wanted: bool) -> None:
        """The next message's webhook comes twice."""
        self._next_twice = wanted

    def let_next_be_stuck(self, *, wanted: bool) -> None:
        """The next run never finishes by itself."""
        self._next_stuck = wanted

    def change_relay(self, relay: str) -> None:
        """From now on this one answers: its copies start as the others are killed."""
        if relay == self.relay:
            return
        self.relay = relay
        with self.server.present():
            self.view.say(self.kernel.now, f"From now on {RELAYS[relay][1]} answers; the copies start anew")
            for worker in self.workers:
                assert worker.program is not None
                worker.program.command = _command(relay)
                if worker.alive:
                    self._crash(worker, 0.0)

    def snapshot(self) -> dict[str, Any]:
        """All that the page shows."""
        assert self._proxy is not None
        return {
            **self.view.snapshot(),
            "names": list(CUSTOMERS),
            "copies": [
                {"number": each.number, "name": copy_name(each.name), "state": self._state.get(each.number, "starting")}
                for each in self.workers
            ],
            "redis_away": self._proxy.is_away,
            "next_twice": self._next_twice,
            "next_stuck": self._next_stuck,
            "relay": self.relay,
            "relay_title": RELAYS[self.relay][1],
        }

    # Life

    def _crash(self, worker: ProgramWorker, seconds: float) -> None:
        worker.crash()
        self._webhooks.worker_died(worker)
        self.kernel.at(seconds, worker.start)

    def _begin(self) -> None:
        self._state = {each.number: "ready" for each in self.workers}
        self.begun.set()

    async def _until_rest(self) -> None:
        looks = 0
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            assert self._proxy is not None
            self._proxy.check()
            with self.server.present():
                self._look()
            if looks % _READY_EVERY == 0:
                await asyncio.gather(*(self._look_at(each) for each in self.workers))
            looks += 1

    def _look(self) -> None:
        for worker in self.workers:
            assert worker.program is not None
            if worker.alive and not worker.program.is_running:  # it has ended by itself
                self._crash(worker, RESTART_SECONDS)
        records = self.kernel.trace.records
        self.view.feed(records[self._read :])
        self._read = len(records)
        queued = self.view.newest_queued
        if self._next_stuck and queued is not None:
            self._next_stuck = False
            threads_of(self.server.api).lives.make_stuck(queued)
            self.view.note_stuck(queued)
            self.view.say(self.kernel.now, f"Run {tag_of(queued)} is stuck: it never finishes by itself")

    async def _look_at(self, worker: ProgramWorker) -> None:
        if not worker.alive:
            self._state[worker.number] = "killed"
            return
        assert isinstance(worker.target, ProgramTarget)
        url = worker.target.address.replace("/webhook", "/readyz")
        try:
            async with asyncio.timeout(1.0):
                answered = await self._client.get(url)
        except (httpx2.HTTPError, TimeoutError):
            state = "starting"
        else:
            state = "ready" if answered.status_code == 200 else "without Redis"
        self._state[worker.number] = state if worker.alive else "killed"

    def _end_programs(self) -> None:
        """At once: they would wait for a Redis and an API that are about to end."""
        for task in self._tasks:
            task.cancel()
        for worker in self.workers:
            if worker.program is not None:
                worker.program.kill()


def _command(relay: str) -> tuple[str, ...]:
    return (sys.executable, "-m", RELAYS[relay][0])
