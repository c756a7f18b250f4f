"""Traces written by hand for the judge: a relay with leases and a ledger, one event after another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from relaysim.sim.backends.threads.operations import ROLES
from relaysim.sim.kernel import Record
from relaysim.sim.world.invariants import Findings, JudgeSettings, judge
from relaysim.sim.world.judge.promises import Promises
from relaysim.sim.world.settings import FRIENDLY_TEXT, GENERIC_TEXT

APOLOGY = GENERIC_TEXT
PROMISES = Promises.model_validate(
    {
        "lease": {
            "key": "relay:lease:{conversation}",
            "seconds": 10.0,
            "sweep_seconds": 3.0,
            "epoch_metadata": "relay_epoch",
            "steps": {
                "accept": ["accept"],
                "read_inbox": ["inbox"],
                "renew": ["renew"],
                "bind_thread": ["set_thread", "replace_thread"],
                "hand_over": ["take_over"],
                "end": ["end"],
                "hand_back": ["hand_back"],
            },
        },
        "burst": {"cap_seconds": 2.0, "apology_span_seconds": 15.0},
    }
)
"""A relay with a ledger and leases, of which nothing else is known."""

CONFIRMED = PROMISES.model_copy(update={"confirming_replicas": 1})
"""The same, where a replica confirms each message."""

PLAIN = JudgeSettings(roles=ROLES, apologies=frozenset((FRIENDLY_TEXT, GENERIC_TEXT)))
"""A relay that declares nothing."""

SETTINGS = replace(PLAIN, promises=PROMISES, limit_seconds=1000.0)


class JudgedStory:
    """Writes a trace; every event happens `after` seconds after the one before it, or at `at`.

    Conversation `c1` has the thread `thread_1`. Deliveries are `c1.m1#1`.
    """

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.now = 0.0
        self.requests = 0
        self.ledger: dict[str, str | None] = {}
        self.threads = {"thread_1": "c1", "thread_2": "c2", "thread_3": "c3"}

    def add(self, entity: str, kind: str, *fields: Any, after: float = 0.0, at: float | None = None) -> None:
        self.now = self.now + after if at is None else at
        self.records.append(Record(self.now, entity, kind, fields))

    # Messages and Redis

    def redis(self, worker: str, command: str, conversation: str, *, delivery: str = "", reply: Any = 1) -> None:
        self.add(worker, "redis", delivery, command, f"relay:lease:{conversation}", reply)

    def accept(
        self, name: str, worker: str = "w1", *, lease: bool = False, at: float | None = None, returns: bool = True
    ) -> None:
        """A message arrives and is accepted, all at one instant; with `lease` its worker gets the lease."""
        conversation = name.split(".")[0]
        self.ledger.setdefault(name, None)
        self.add(f"customer:{conversation}", "message.sent", name, conversation, f"Question [{name}]", None, at=at)
        self.add(worker, "handling.start", f"{name}#1", name, 1)
        self.redis(worker, "accept", conversation, delivery=f"{name}#1", reply="4 items")
        if lease:
            self.take(conversation, worker)
        if returns:
            self.add(worker, "handling.end", f"{name}#1", None, None)

    def take(self, conversation: str = "c1", worker: str = "w1", *, at: float | None = None) -> None:
        self.add("redis", "lease.taken", conversation, worker, at=at)

    def release(
        self, conversation: str = "c1", worker: str = "w1", *, command: str = "release", at: float | None = None
    ) -> None:
        self.now = self.now if at is None else at
        self.redis(worker, command, conversation)
        self.add("redis", "lease.released", conversation, worker)

    def gone(self, conversation: str = "c1", worker: str = "w1", why: str = "expired", at: float | None = None) -> None:
        self.add("redis", "lease.gone", conversation, worker, why, at=at)

    # Requests

    def leave(
        self,
        operation: str,
        thread: str = "thread_1",
        worker: str = "w1",
        *,
        run: str | None = None,
        delivery: str = "",
    ) -> str:
        """A request leaves; returns its id."""
        self.requests += 1
        request_id = f"{worker}#{self.requests}"
        self.add(worker, "request", request_id, delivery, operation, thread, run)
        return request_id

    def serve(self, request_id: str, status: int = 200, detail: Any = "") -> None:
        self.add("api", "served", request_id, status, None, detail)

    def answer(self, request_id: str, status: int = 200, failure: str | None = None) -> None:
        self.add(request_id.partition("#")[0], "response", request_id, status, failure)

    def ask(
        self,
        operation: str,
        thread: str = "thread_1",
        worker: str = "w1",
        *,
        run: str | None = None,
        status: int = 200,
        failure: str | None = None,
        delivery: str = "",
    ) -> str:
        """A request that leaves, is served unless it fails, and is answered, at one instant."""
        request_id = self.leave(operation, thread, worker, run=run, delivery=delivery)
        if failure is None:
            self.serve(request_id, status)
        self.answer(request_id, 0 if failure else status, failure)
        return request_id

    def run_lands(
        self, request_id: str, run: str, *names: str, thread: str = "thread_1", epoch: int | None = 1
    ) -> None:
        """The service processes a creation: it stores the messages named, and makes the run."""
        for name in names:
            self.add(
                "api", "message.stored", thread, f"msg_{name}_{request_id}", "user", request_id, f"Question [{name}]"
            )
        self.add("api", "run.state", run, thread, "queued", request_id)
        if epoch is not None:
            self.add("api", "run.metadata", run, thread, (f"relay_epoch={epoch}",))
        self.serve(request_id, 200, run)

    def create_run(
        self, run: str, *names: str, worker: str = "w1", thread: str = "thread_1", epoch: int | None = 1
    ) -> None:
        request_id = self.leave("runs.create", thread, worker)
        self.run_lands(request_id, run, *names, thread=thread, epoch=epoch)
        self.answer(request_id)

    def complete(self, run: str, *, thread: str = "thread_1", worker: str | None = "w1") -> None:
        """The run writes `Reply of <run>` and ends; a worker, if one is given, asks for it and sees that."""
        self.add("api", "message.stored", thread, f"msg_{run}", "assistant", run, f"Reply of {run}")
        self.add("api", "run.state", run, thread, "completed", "time")
        if worker is not None:
            self.ask("runs.retrieve", thread, worker, run=run)

    def cancel(self, run: str, *, worker: str = "w1", thread: str = "thread_1", status: int = 200) -> None:
        request_id = self.leave("runs.cancel", thread, worker, run=run)
        if status == 200:
            self.add("api", "run.state", run, thread, "cancelling", request_id)
        self.serve(request_id, status)
        self.answer(request_id, status)

    # Sends and endings

    def send(
        self,
        *names: str,
        run: str | None = None,
        worker: str = "w1",
        to: str | None = None,
        fate: str | None = None,
        at: float | None = None,
        text: str | None = None,
    ) -> None:
        """Send the reply of a run, or an apology, for the messages named."""
        conversation = to or names[0].split(".")[0]
        text = text or (APOLOGY if run is None else f"Reply of {run}")
        self.add(worker, "send", "", conversation, text, at=at)
        if names:
            self.add(worker, "send.for", "", conversation, names)
        if fate is not None:
            self.add(worker, "send.fate", "", conversation, fate)
        if fate in (None, "delivered", "unknown_delivered"):
            self.add(f"customer:{conversation}", "received", conversation, text)

    def end(self, outcome: str, *names: str, worker: str = "w1") -> None:
        """The ledger records how messages ended."""
        self.redis(worker, "end", names[0].split(".")[0])
        for name in names:
            self.ledger[name] = outcome

    def answer_all(self, run: str, *names: str, worker: str = "w1", epoch: int = 1, create: bool = True) -> None:
        """From the creation of a run to the recorded reply, one second in all."""
        thread = f"thread_{names[0][1]}"
        if create:
            self.create_run(run, *names, worker=worker, thread=thread, epoch=epoch)
        self.now += 1.0
        self.complete(run, thread=thread, worker=worker)
        self.redis(worker, "inbox", names[0].split(".")[0], reply="6 items")
        self.redis(worker, "begin_send", names[0].split(".")[0])
        self.send(*names, run=run, worker=worker)
        self.end("answered", *names, worker=worker)

    # The verdict

    def findings(self, *, ledger: bool = True, **settings: Any) -> Findings:
        return judge(self.records, self.threads, self.ledger if ledger else None, replace(SETTINGS, **settings))

    def broken(self, **settings: Any) -> dict[str, int]:
        """The promises that are broken, and how often."""
        counts = self.findings(**settings).counts
        return {name.removeprefix("breach_"): n for name, n in counts.items() if n and name.startswith("breach_")}

    def residues(self, **settings: Any) -> dict[str, int]:
        """The residues, and how often."""
        counts = self.findings(**settings).counts
        return {name.removeprefix("residue_"): n for name, n in counts.items() if n and name.startswith("residue_")}

    def checked(self, promise: str, **settings: Any) -> int:
        """How often a promise was put to the test."""
        return self.findings(**settings).counts[f"checked_{promise}"]


def answered_story() -> JudgedStory:
    """One message, accepted, answered and ended; the lease is still held."""
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.answer_all("run_a", "c1.m1")
    return story
