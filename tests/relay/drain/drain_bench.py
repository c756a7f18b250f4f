"""A bench for the policy `drain`: workers, customers, the simulated API and Redis, all in virtual time.

    with Bench(workers=2, replies=["Yes."]) as bench:
        bench.say(0.0, "m1")
        bench.say(0.3, "m2", worker=2)
        bench.run(30)
        assert bench.outcomes() == {"m1": "covered", "m2": "answered"}

Every duration is a constant, so that a test can say when something happens: a request takes 0.2 s, a run 0.5 s until it is
in progress and 5 s more, a cancel 1 s, a Redis command 1 ms, sending a text 0.1 s. At its end each bench checks that no log
line told anything of a customer.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NamedTuple, Self

from prometheus_client import generate_latest

from relaysim.relay import Handled, Message, drain
from relaysim.relay.drain import Backend, Drain, DrainSettings
from relaysim.relay.drain.channel import SenderChannel
from relaysim.relay.telemetry import Telemetry
from relaysim.sim.backends.protocol import ServiceOptions
from relaysim.sim.backends.replies import Replier, Reply, Turn, text_of
from relaysim.sim.backends.threads.backend import THREADS
from relaysim.sim.doors import ApiFault, Network, keyed_retry_jitter, load_profile, make_client
from relaysim.sim.doors import warm_up as warm_up_openai
from relaysim.sim.kernel import EPOCH_SECONDS, Fence, Host, Kernel
from relaysim.sim.redis import RedisFault, RedisLink
from relaysim.sim.redis import make_client as make_redis_client
from relaysim.sim.redis import warm_up as warm_up_redis

CONVERSATION = "+55 11 90000-0001"
SEND_SECONDS = 0.1
ASSISTANT = "asst_relaysim"

_SECONDS = {
    "queue_seconds": 0.5,
    "run_seconds": 5.0,
    "cancel_seconds": 1.0,
    "request_seconds": 0.2,
    "redis_seconds": 0.001,
}


_fence: Fence | None = None


@contextmanager
def fenced() -> Iterator[None]:
    """Install once, over many benches, what each of them needs."""
    global _fence
    warm_up_openai()
    warm_up_redis()
    with Fence() as _fence, keyed_retry_jitter():
        try:
            yield
        finally:
            _fence = None


def attach(kernel: Kernel | None) -> None:
    """Let code on a kernel's hosts read its clock and its draws; None: no kernel's any more."""
    assert _fence is not None, "kernels live under `fenced`"
    _fence.attach(kernel)


class Sent(NamedTuple):
    """A text that was handed to the channel, at the instant at which it was."""

    at: float
    worker: str
    conversation: str
    text: str
    ids: tuple[str, ...]


class Delivery(NamedTuple):
    """One call of `handle`: when it began and ended, and what it returned or raised (None while it has not ended)."""

    message: str
    began: float
    ended: float
    result: Handled | Exception


class Request(NamedTuple):
    """A request to the API, at the instant at which it left."""

    at: float
    worker: str
    operation: str
    thread: str | None
    run: str | None


def constant(seconds: float) -> dict[str, Any]:
    """A duration of a profile."""
    return {"kind": "constant", "value": seconds}


def answer_all(turn: Turn) -> str:
    """`Answer to: a, b` for whatever the customer has written since the last reply."""
    questions: list[str] = []
    for message in turn.messages:
        if message["role"] == "user":
            questions.append(text_of(message))
        else:
            questions.clear()
    return "Answer to: " + ", ".join(questions)


class Worker:
    """One life of a worker: a host with a relay on it."""

    def __init__(self, bench: Bench, name: str) -> None:
        self.name = name
        self.host: Host = bench.kernel.host(name)
        self.telemetry = Telemetry()
        self.relay = bench.make_relay(self)
        if bench.serves:
            self.host.spawn(self.relay.serve())


class _Tape(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(logging.Formatter().format(record))


class Bench:
    """See the module.

    Args:
        workers: how many; they are called w1, w2 and so on.
        replies: what the runs answer, one after the other, the last one again and again; or a function; by default
            `answer_all`.
        settings: of the relay.
        profile: numbers of the backend that differ: `stuck_probability=1.0`, `cancel_seconds=constant(30.0)`.
        faults, redis_faults: as tables.
        lane: `direct` or `sdk`.
        threads: whether messages bring their thread with them.
        serves: whether the workers sweep.
        channel: called with each text that is sent, on the sending worker; may raise, or wait.
        backend: makes a stand-in for the API's client of a worker out of the real backend.
        seed: of all draws.
    """

    def __init__(
        self,
        *,
        workers: int = 1,
        replies: Sequence[str | Reply] | Replier = answer_all,
        settings: Mapping[str, Any] | None = None,
        profile: Mapping[str, Any] | None = None,
        faults: Sequence[Mapping[str, Any]] = (),
        redis_faults: Sequence[Mapping[str, Any]] = (),
        lane: Any = "direct",
        threads: bool = True,
        serves: bool = True,
        channel: Callable[[Sent], Awaitable[None]] | None = None,
        backend: Callable[[Any], Any] | None = None,
        seed: int = 0,
        redis_latency: float = 0.001,
    ) -> None:
        self._worker_count = workers
        self._replies = replies
        self.settings = dict(settings or {})
        seconds = {name: constant(value) for name, value in _SECONDS.items()}
        self._profile = load_profile("claimed", {**seconds, **(profile or {})})
        self._faults = tuple(ApiFault.model_validate(fault) for fault in faults)
        self._redis_faults = tuple(RedisFault.model_validate(fault) for fault in redis_faults)
        self._redis_latency = redis_latency
        self.lane = lane
        self._threads = threads
        self.serves = serves
        self.channel = channel
        self._backend = backend
        self._seed = seed
        self.sent: list[Sent] = []
        self.deliveries: list[Delivery] = []
        self.handing_in: list[str] = []
        self.threads: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        self._said: dict[str, Message] = {}
        self._reply_texts: list[str] = []

    def __enter__(self) -> Self:
        self._tape = _Tape()
        self._logger = logging.getLogger("relay")
        self._level, self._propagates = self._logger.level, self._logger.propagate
        self._logger.setLevel(logging.DEBUG)
        self._logger.propagate = False
        self._logger.addHandler(self._tape)
        self.kernel = Kernel(0, self._seed)
        attach(self.kernel)
        self.service = THREADS.start(
            self.kernel,
            self._profile,
            now=lambda: EPOCH_SECONDS + self.kernel.now,
            trace=self.kernel.trace,
            options=ServiceOptions(self._reply),
        )
        self.lives = self.service.lives
        self.network = Network(self.kernel, self.service, self._profile, self._faults)
        self.redis = RedisLink(
            self.kernel, lambda _: self._redis_latency, faults=self._redis_faults, watched="relay:lease:{conversation}"
        )
        self.workers: dict[str, Worker] = {}
        self.lives_of_workers: list[Worker] = []
        for number in range(1, self._worker_count + 1):
            self.start(number)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            self.kernel.close()
            self.redis.close()
        finally:
            self._logger.removeHandler(self._tape)
            self._logger.setLevel(self._level)
            self._logger.propagate = self._propagates
            attach(None)
        if error is None:
            self._check_privacy()

    def _check_privacy(self) -> None:
        told = "\n".join(self._tape.lines)
        for message in self._said.values():
            for private in (message.conversation, message.text, message.id):
                assert private not in told, f"{private!r} was logged"
        for text in filter(None, (*self._reply_texts, *self.texts)):
            assert text not in told, f"the reply {text!r} was logged"

    def _reply(self, turn: Turn) -> str | Reply:
        if callable(self._replies):
            reply = self._replies(turn)
        else:
            number = sum(run.plan is not None or run.ended for run in self.service.runs.values())
            reply = self._replies[min(number, len(self._replies) - 1)]
        if isinstance(reply, str):
            self._reply_texts.append(reply)
        return reply

    # Workers

    def make_relay(self, worker: Worker) -> Drain:
        """A relay on a host, with clients of its own."""
        openai_client = make_client(self.kernel, worker.host, self.network, self.lane)
        redis_client = make_redis_client(worker.host, self.redis, self.lane)
        relay = drain(openai_client, redis_client, self._sender(worker), telemetry=worker.telemetry, **self.settings)
        if self._backend is None:
            return relay
        settings = DrainSettings.read("drain", self.settings)
        backend: Backend = self._backend(relay._backend)
        return Drain(backend, redis_client, SenderChannel(self._sender(worker)), settings, worker.telemetry)

    def _sender(self, worker: Worker) -> Callable[..., Awaitable[None]]:
        async def send(conversation: str, text: str, *, message_ids: Sequence[str] = ()) -> None:
            sent = Sent(self.kernel.now, worker.name, conversation, text, tuple(message_ids))
            self.sent.append(sent)
            if self.channel is not None:
                await self.channel(sent)
            await asyncio.sleep(SEND_SECONDS)

        return send

    def start(self, number: int) -> Worker:
        """Start a worker, or start it again."""
        worker = Worker(self, f"w{number}")
        self.workers[worker.name] = worker
        self.lives_of_workers.append(worker)
        return worker

    def worker(self, number: int) -> Worker:
        """A worker's present life."""
        return self.workers[f"w{number}"]

    def crash(self, number: int) -> None:
        """Cut a worker's power, now."""
        self.worker(number).host.crash()

    # What happens when

    def at(self, seconds: float, action: Callable[..., object], *arguments: Any) -> None:
        """Do something at a time, outside every host."""
        self.kernel.at(seconds - self.kernel.now, action, *arguments)

    def when(self, kind: str, detail: str, action: Callable[..., object], *, nth: int = 1, worker: str = "") -> None:
        """Do something at the `nth` record of a kind with this field, before anything else can happen."""
        left = [nth]
        earlier = self.kernel.trace.listener

        def listen(record: Any) -> None:
            if earlier is not None:
                earlier(record)
            if record.kind == kind and detail in record.fields and worker in ("", record.entity):
                left[0] -= 1
                if left[0] == 0:
                    action()

        self.kernel.trace.listener = listen

    def thread(self, conversation: str = CONVERSATION) -> str:
        """The conversation's thread at the start."""
        if conversation not in self.threads:
            self.threads[conversation] = self.service.create_thread()["id"]
        return self.threads[conversation]

    def say(
        self,
        seconds: float,
        message_id: str,
        *,
        worker: int = 1,
        conversation: str = CONVERSATION,
        text: str = "",
        sent_at: float | None = None,
    ) -> None:
        """The customer's message reaches a worker; the channel may tell when it was written."""
        thread = self.thread(conversation) if self._threads else None
        message = Message(_id(message_id), conversation, text or f"question {message_id}", thread, sent_at)
        self._said[message_id] = message
        self.at(seconds, self._hand_in, worker, message_id)

    def id_of(self, message_id: str) -> str:
        """The channel's id of a message, by its short name."""
        return self._said[message_id].id

    def say_again(self, seconds: float, message_id: str, *, worker: int = 1) -> None:
        """The same message is delivered again."""
        self.at(seconds, self._hand_in, worker, message_id)

    def _hand_in(self, worker: int, message_id: str) -> None:
        life = self.worker(worker)
        life.host.spawn(self._handle(life, message_id))

    async def _handle(self, worker: Worker, message_id: str) -> None:
        began = self.kernel.now
        result: Handled | Exception
        try:
            result = await worker.relay.handle(self._said[message_id])
        except Exception as error:
            result = error
        self.deliveries.append(Delivery(message_id, began, self.kernel.now, result))

    def leave_run(self, conversation: str = CONVERSATION, *, stuck: bool = True, metadata: Any = None) -> str:
        """Somebody else's run on the conversation's thread, from now on; its id."""
        run = self.service.create_run(self.thread(conversation), assistant_id=ASSISTANT, metadata=metadata)
        if stuck:
            self.lives.make_stuck(run["id"])
        run_id: str = run["id"]
        return run_id

    def stop_faults(self) -> None:
        """From now on the API answers."""
        self.network.faults = self.network.faults.changed(())

    def run(self, until: float) -> None:
        """Live until a virtual time, in seconds."""
        self.kernel.run(until=until)
        self.kernel.advance_to(until)

    # What has happened

    def outcomes(self) -> dict[str, str | None]:
        """What the ledger says of every message, by its short name."""
        host = self.kernel.host("auditor")
        auditor = drain(NoClient(), make_redis_client(host, self.redis, self.lane), _nowhere, telemetry=Telemetry())

        async def read() -> dict[str, str | None]:
            return {
                name: await auditor.outcome_of(message.conversation, message.id) for name, message in self._said.items()
            }

        task = host.spawn(read())
        self.run(self.kernel.now + 1.0)
        return {name: None if outcome is None else str(outcome) for name, outcome in task.result().items()}

    def outcome(self, message_id: str) -> str | None:
        """What the ledger says of one message."""
        return self.outcomes()[message_id]

    def requests(self, operation: str = "", worker: str = "") -> list[Request]:
        """Requests to the API, in order."""
        found = []
        for record in self.kernel.trace.records:
            if record.kind == "request":
                fields: Any = record.fields
                _, _, name, thread, run = fields
                if operation in ("", name) and worker in ("", record.entity):
                    found.append(Request(record.time, record.entity, name, thread, run))
        return found

    def steps(self, name: str = "", worker: str = "") -> list[tuple[float, str, str]]:
        """Redis commands and scripts, in order: when they were processed, whose they were, and their names."""
        return [
            (record.time, record.entity, str(record.fields[1]))
            for record in self.kernel.trace.records
            if record.kind == "redis" and name in ("", record.fields[1]) and worker in ("", record.entity)
        ]

    @property
    def texts(self) -> list[str]:
        """The texts that were handed to the channel, in order."""
        return [sent.text for sent in self.sent]

    @property
    def runs(self) -> list[dict[str, Any]]:
        """All runs, as the API would show them, in the order of their creation."""
        return [run.view for run in self.service.runs.values()]

    def messages(self, thread_id: str | None = None) -> list[tuple[str, str]]:
        """Role and text of a thread's messages, oldest first."""
        stored = self.service.threads[thread_id or self.thread()].messages
        return [(message["role"], text_of(message)) for message in stored]

    def metric(self, name: str, **labels: str) -> float:
        """A metric, summed over all workers; 0.0 if it was never told."""
        found = [worker.telemetry.registry.get_sample_value(name, labels) for worker in self.lives_of_workers]
        return sum(value for value in found if value is not None)

    def published(self) -> str:
        """All metrics of all workers, as they are scraped."""
        return "".join(generate_latest(worker.telemetry.registry).decode() for worker in self.lives_of_workers)

    @property
    def lines(self) -> list[str]:
        """Everything that was logged."""
        return self._tape.lines

    def all_events(self) -> list[dict[str, Any]]:
        """The log's events, in order."""
        return [json.loads(line.splitlines()[0]) for line in self.lines if line.startswith("{")]

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log's events of a name."""
        return [event for event in self.all_events() if event["event"] == name]


def _id(message_id: str) -> str:
    """As providers make them: long, and unlike any word."""
    return f"wamid.{message_id}.HBgLNTUxMTk5"


class NoClient:
    """An API for a relay that only reads its ledger."""

    def __getattr__(self, name: str) -> Any:
        return self

    def __call__(self, *_: object, **__: object) -> Any:
        return self


async def _nowhere(conversation: str, text: str) -> None:
    raise AssertionError("an auditor sends nothing")
