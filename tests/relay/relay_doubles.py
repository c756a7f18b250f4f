"""Stand-ins for the tests of the relay: an API and a Redis in memory, and an event loop whose time jumps.

Nothing here sleeps: when every task waits, the loop's clock moves on to the next timer.
"""

import asyncio
import logging
import selectors
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, TypeVar

import httpx2
import openai
import redis.asyncio

from relaysim.relay import Handled, IncomingMessage, Message, Policy, cancel_and_retry
from relaysim.relay.locks import RELEASE_SCRIPT

MESSAGE = Message(id="wamid.A1", conversation="invented customer 7", text="Qual é o horário?", thread_id="thread_T1")
ANSWER = "Abrimos às nove."

Reply = TypeVar("Reply")


class _JumpingSelector(selectors.SelectSelector):
    loop: "JumpingLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events:
            if timeout is None:
                raise RuntimeError("every task waits for something that no timer will bring")
            self.loop.now += timeout
        return events


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock starts at 0 and jumps from timer to timer."""

    def __init__(self) -> None:
        selector = _JumpingSelector()
        selector.loop = self
        self.now = 0.0
        super().__init__(selector)

    def time(self) -> float:
        return self.now


def now() -> float:
    return asyncio.get_running_loop().time()


def api_error(status: int, sentence: str) -> openai.APIStatusError:
    """The error that the SDK makes of an answer with this status and sentence."""
    kind = {400: openai.BadRequestError, 404: openai.NotFoundError, 500: openai.InternalServerError}[status]
    response = httpx2.Response(status, request=httpx2.Request("POST", "https://api.invalid/"))
    body = {"message": sentence, "type": "invalid_request_error", "param": None, "code": None}
    return kind(f"Error code: {status} - {sentence}", response=response, body=body)


def append_conflict(run_id: str = "run_BLOCKER1") -> openai.APIStatusError:
    return api_error(400, f"Can't add messages to thread_T1 while a run {run_id} is active.")


def creation_conflict(run_id: str = "run_BLOCKER1") -> openai.APIStatusError:
    return api_error(400, f"Thread thread_T1 already has an active run {run_id}.")


def cancel_refusal(status: str = "cancelling") -> openai.APIStatusError:
    return api_error(400, f"Cannot cancel run with status '{status}'.")


def a_run(run_id: str, status: str) -> SimpleNamespace:
    return SimpleNamespace(id=run_id, status=status)


def a_message(role: str, text: str) -> SimpleNamespace:
    return SimpleNamespace(role=role, content=[SimpleNamespace(type="text", text=SimpleNamespace(value=text))])


@dataclass
class MemoryApi:
    """The calls under `client.beta.threads` that the relay makes, scripted. Each call is noted with its time.

    errors: what the next calls of an operation raise, in order (None: this one succeeds).
    """

    errors: dict[str, list[Exception | None]] = field(default_factory=dict)
    listed_runs: Sequence[SimpleNamespace] = ()
    run_states: Sequence[str] = ("queued", "completed")  # at creation, then at each look; the last one stays
    newest: Sequence[SimpleNamespace] = (a_message("assistant", ANSWER),)
    calls: list[tuple[Any, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        messages = SimpleNamespace(create=self._append, list=self._newest)
        runs = SimpleNamespace(list=self._list, create=self._create, retrieve=self._retrieve, cancel=self._cancel)
        self.beta = SimpleNamespace(threads=SimpleNamespace(messages=messages, runs=runs, create=self._create_thread))
        self._looks = 0

    def names(self) -> list[str]:
        return [call[1] for call in self.calls]

    def of(self, name: str) -> list[tuple[Any, ...]]:
        return [call for call in self.calls if call[1] == name]

    def _note(self, name: str, *arguments: object) -> None:
        self.calls.append((now(), name, *arguments))
        pending = self.errors.get(name)
        error = pending.pop(0) if pending else None
        if error is not None:
            raise error

    async def _create_thread(self) -> SimpleNamespace:
        self._note("threads.create")
        return SimpleNamespace(id=f"thread_NEW{len(self.of('threads.create'))}")

    async def _append(self, thread_id: str, *, role: str, content: str) -> SimpleNamespace:
        self._note("messages.create", thread_id, role, content)
        return SimpleNamespace(id="msg_1")

    async def _newest(self, thread_id: str, *, limit: int, order: str) -> SimpleNamespace:
        self._note("messages.list", thread_id, limit, order)
        return SimpleNamespace(data=list(self.newest))

    async def _list(self, thread_id: str, *, limit: int) -> SimpleNamespace:
        self._note("runs.list", thread_id, limit)
        return SimpleNamespace(data=list(self.listed_runs))

    async def _create(self, thread_id: str, *, assistant_id: str) -> SimpleNamespace:
        self._note("runs.create", thread_id, assistant_id)
        return a_run("run_OWN1", self.run_states[0])

    async def _retrieve(self, run_id: str, *, thread_id: str) -> SimpleNamespace:
        self._note("runs.retrieve", run_id, thread_id)
        self._looks = min(self._looks + 1, len(self.run_states) - 1)
        return a_run(run_id, self.run_states[self._looks])

    async def _cancel(self, run_id: str, *, thread_id: str) -> SimpleNamespace:
        self._note("runs.cancel", run_id, thread_id)
        return a_run(run_id, "cancelling")


@dataclass
class MemoryRedis:
    """SET NX PX, GET, DEL and the release script, expiring by the loop's clock. Each command is noted with its time."""

    decodes: bool = False
    errors: dict[str, list[Exception | None]] = field(default_factory=dict)
    loses_answers: bool = False  # the errors are raised after the command took effect
    data: dict[str, tuple[str, float]] = field(default_factory=dict)  # key: (value, expires at)
    calls: list[tuple[Any, ...]] = field(default_factory=list)

    def names(self) -> list[tuple[str, str]]:
        return [(call[1], call[2]) for call in self.calls]

    async def set(self, key: str, value: str, *, nx: bool, px: int | None = None) -> bool | None:
        assert nx
        return self._do("set", key, lambda: self._set(key, value, px), px)

    async def get(self, key: str) -> bytes | str | None:
        value = self._do("get", key, lambda: self.value(key))
        return value if value is None or self.decodes else value.encode()

    async def delete(self, key: str) -> int:
        return self._do("delete", key, lambda: self._delete(key))

    async def eval(self, script: str, count: int, key: str, token: str) -> int:
        assert (script, count) == (RELEASE_SCRIPT, 1)
        return self._do("eval", key, lambda: self._delete(key) if self.value(key) == token else 0)

    def value(self, key: str) -> str | None:
        value, expires_at = self.data.get(key, (None, 0.0))
        return value if value is not None and expires_at > now() else None

    def _set(self, key: str, value: str, px: int | None) -> bool | None:
        if self.value(key) is not None:
            return None
        self.data[key] = (value, now() + px / 1000 if px is not None else float("inf"))
        return True

    def _delete(self, key: str) -> int:
        present = self.value(key) is not None
        self.data.pop(key, None)
        return int(present)

    def _do(self, name: str, key: str, effect: Callable[[], Reply], *arguments: object) -> Reply:
        self.calls.append((now(), name, key, *arguments))
        pending = self.errors.get(name)
        error = pending.pop(0) if pending else None
        if error is not None and not self.loses_answers:
            raise error
        reply = effect()
        if error is not None:
            raise error
        return reply


@dataclass
class Told:
    """What `handle` returned or raised, what was sent and logged, and when it was over."""

    handled: Handled | None
    error: BaseException | None
    sent: list[tuple[str, str]]
    log: list[tuple[int, str]]  # level, text
    records: list[logging.LogRecord]
    ended_at: float

    @property
    def lines(self) -> list[str]:
        return [text for _, text in self.log]

    @property
    def result(self) -> Handled:
        assert self.error is None, repr(self.error)
        assert self.handled is not None
        return self.handled


class LogTape(logging.Handler):
    """Keeps what the relay logs while the `with` block runs."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def __enter__(self) -> "LogTape":
        logger = logging.getLogger("relay")
        self._level = logger.level
        logger.setLevel(logging.DEBUG)
        logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logger = logging.getLogger("relay")
        logger.removeHandler(self)
        logger.setLevel(self._level)


def handle(
    factory: Callable[..., Policy] = cancel_and_retry,
    message: IncomingMessage = MESSAGE,
    *,
    api: MemoryApi | None = None,
    store: MemoryRedis | None = None,
    send_error: BaseException | None = None,
    **settings: Any,
) -> Told:
    """Handle one message in virtual time. Checks, each time, that the log tells nothing of the customer."""
    sent: list[tuple[str, str]] = []

    async def send(conversation: str, text: str) -> None:
        sent.append((conversation, text))
        if send_error is not None:
            raise send_error

    async def main() -> tuple[Handled | None, BaseException | None, float]:
        policy = factory(api or MemoryApi(), store or MemoryRedis(), send, **settings)
        try:
            return await policy.handle(message), None, now()
        except Exception as error:
            return None, error, now()

    with LogTape() as tape, asyncio.Runner(loop_factory=JumpingLoop) as runner:
        handled, error, ended_at = runner.run(main())
    for record in tape.records:
        whole = logging.Formatter().format(record)
        assert message.conversation not in whole
        assert message.text not in whole
    log = [(record.levelno, record.getMessage()) for record in tape.records]
    return Told(handled, error, sent, log, tape.records, ended_at)


def redis_down() -> Exception:
    return redis.asyncio.ConnectionError("connection refused")
