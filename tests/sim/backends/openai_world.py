"""A small simulated world for these tests: a kernel, the service, runs' lives, the network and clients."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from relaysim.sim.backends.protocol import ServiceOptions
from relaysim.sim.backends.replies import Replier, echo_reply
from relaysim.sim.backends.threads.backend import THREADS
from relaysim.sim.doors import ApiFault, Lane, Network, Profile, keyed_retry_jitter, make_client
from relaysim.sim.kernel import EPOCH_SECONDS, Fence, Host, Kernel

ASSISTANT = "asst_" + "a" * 24


def constant(seconds: float) -> dict[str, Any]:
    """A distribution of one value."""
    return {"kind": "constant", "value": seconds}


def flat_profile(**changes: Any) -> Profile:
    """A profile of constants: a request takes 0.5 s, a run is queued for 1 s and runs for 10 s, a cancel takes 3 s."""
    numbers: dict[str, Any] = {
        "queue_seconds": constant(1),
        "run_seconds": constant(10),
        "cancel_seconds": constant(3),
        "stuck_probability": 0.0,
        "request_seconds": constant(0.5),
        "slow_probability": 0.0,
        "request_arrival_fraction": 0.5,
        "redis_seconds": constant(0),
        "redis_pause_probability": 0.0,
        "send_seconds": constant(0),
        "webhook_seconds": constant(0),
        **changes,
    }
    return Profile(name="flat", title="constants", basis=dict.fromkeys(numbers, "a test's choice"), **numbers)


class World:
    """One world; `bot` coroutines receive a client."""

    def __init__(
        self,
        lane: Lane = "direct",
        profile: Profile | None = None,
        faults: Iterable[ApiFault] = (),
        seed: int = 0,
        assistants: Iterable[str] | None = None,
        replier: Replier = echo_reply,
    ) -> None:
        self.lane = lane
        self.kernel = Kernel(1, seed)
        profile = flat_profile() if profile is None else profile
        self.service = THREADS.start(
            self.kernel,
            profile,
            now=lambda: EPOCH_SECONDS + self.kernel.now,
            trace=self.kernel.trace,
            options=ServiceOptions(replier, assistants),
        )
        self.lives = self.service.lives
        self.network = Network(self.kernel, self.service, profile, faults)
        self.thread: str = self.service.create_thread(key="customer 1")["id"]

    def host(self, name: str = "worker-1") -> Host:
        """A worker."""
        return self.kernel.host(name)

    def client(self, host: Host) -> Any:
        """That worker's OpenAI client."""
        return make_client(self.kernel, host, self.network, self.lane)

    def run(self, *bots: Callable[[Any], Coroutine[Any, Any, Any]], until: float | None = None) -> list[Any]:
        """Run each bot on a worker of its own; what they return, or None."""
        tasks = []
        for number, bot in enumerate(bots, start=1):
            host = self.host(f"worker-{number}")
            tasks.append(host.spawn(bot(self.client(host))))
        self.turn(until)
        return [task.result() if task.done() else None for task in tasks]

    def turn(self, until: float | None = None) -> None:
        """Let time pass, behind the fence."""
        with Fence() as fence, keyed_retry_jitter():
            fence.attach(self.kernel)
            self.kernel.run(until)

    def events(self, *kinds: str) -> list[tuple[float, str, str, tuple[Any, ...]]]:
        """The trace's records of some kinds."""
        records = self.kernel.trace.records
        return [(record.time, record.entity, record.kind, record.fields) for record in records if record.kind in kinds]

    def states(self) -> list[tuple[float, str, str]]:
        """Time, state and cause of every transition."""
        return [(time, fields[2], fields[3]) for time, _, _, fields in self.events("run.state")]
