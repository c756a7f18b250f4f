"""Policies on Responses with Conversations as people write them: what they do about a conversation that is busy.

A busy conversation answers a second turn with 400 `conversation_locked`, which names nobody: there is nothing to cancel,
so that the incident's fix has no counterpart here. What is left is to wait. Message and turn are one request: a message
whose turn was never taken is nowhere, and whoever gives up loses it.

    retry_on_lock   repeats the turn after each wait: 1, 2, 4 s as openai-agents does, or 2, 4, 8 s as the fix did
    quiet_window    waits until the customer has been quiet for some seconds, and takes all that came into one turn
    chained         continues the customer's last response; no conversation, no lock

What was said before is kept where `storage` says (`responses_storage`); without a conversation there is no lock to wait for.
With `stream` a turn is read as it is written, as relays do that show it so; whoever stops reading may leave the lock behind.

They take no lock of their own, renew nothing and remember no message id. Their faults are kept on purpose, because they are
what is judged:

- `retry_on_lock`: whichever message tries at the right moment goes first, so that a later one can overtake an earlier one.
- `quiet_window`: what it has taken out of Redis is lost if its worker ends before the reply has left.
- `chained`: two turns at once continue the same response, and of the two branches the conversation keeps the one whose id
  was written last.
- all: a turn whose answer is lost is lost with its message; the client may have repeated it before.
"""

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypedDict, Unpack

import openai
import redis.asyncio

from relaysim.relay.log_lines import logger
from relaysim.relay.messages import FRIENDLY_APOLOGY, Handled, IncomingMessage, Outcome, Sender
from relaysim.relay.responses_endings import LOCKED, Ending, Told, ending_by, ending_of, read_to_its_end
from relaysim.relay.responses_storage import STORAGES, Storage, text_of
from relaysim.relay.setting_rules import PAUSE, SECONDS, Settings, choice, flag, name_rule
from relaysim.relay.telemetry import Telemetry, default
from relaysim.relay.wait_settings import WaitArguments, WaitSettings, attempts_rule

BURST_KEY_PREFIX: Final = "burst:"
"""Redis lists of the texts that wait for a customer to be quiet (`quiet_window`)."""
LATEST_KEY_PREFIX: Final = "latest:"
"""Redis keys that hold the id of the message that came last (`quiet_window`)."""
ATTEMPTS: Final = 4
"""As openai-agents for Python 0.24: one, and another after each of 1, 2, 4 s."""


def _attempts(value: object) -> str | None:
    return None if value == 0 and not isinstance(value, bool) else attempts_rule(value)


@dataclass(frozen=True, kw_only=True)
class TurnSettings(Settings):
    """The settings of `chained`. Raises `ValueError` naming every setting that is out of its range.

    model   which model answers
    stream  whether a turn is read as it is written; a stream that breaks off ends in the generic apology
    """

    model: Annotated[str, name_rule] = "gpt-4.1"
    stream: Annotated[bool, flag] = False


@dataclass(frozen=True, kw_only=True)
class LockWaitSettings(WaitSettings, TurnSettings):
    """The settings of `retry_on_lock`: those of `TurnSettings`, the waits of `WaitSettings`, and the following.

    By default the waits are those of openai-agents for Python 0.24: 1, 2, 4 s.

    attempts  0: one more than there are `waits`; without `waits` 4
    storage   where what was said is kept: "conversation", "chain" or "client", see `responses_storage`
    """

    attempts: Annotated[int, _attempts] = 0
    first_wait_seconds: Annotated[float, SECONDS] = 1.0
    wait_after_last_failure: Annotated[bool, flag] = False
    storage: Annotated[Storage, choice(*STORAGES)] = "conversation"

    def __post_init__(self) -> None:
        if self.attempts == 0 and not isinstance(self.attempts, bool):
            given = self.waits
            own = isinstance(given, list | tuple)
            count = len(given) + (not self.wait_after_last_failure) if own and given is not None else ATTEMPTS
            object.__setattr__(self, "attempts", max(1, count))
        super().__post_init__()


@dataclass(frozen=True, kw_only=True)
class QuietWindowSettings(LockWaitSettings):
    """The settings of `quiet_window`: those of `LockWaitSettings` and the following.

    quiet_seconds  above 0: so long after a customer's last message all that came is answered (5 to 8 s are usual)
    """

    quiet_seconds: Annotated[float, PAUSE] = 6.0


class TurnArguments(TypedDict, total=False):
    """`TurnSettings` as keyword arguments, so that a type checker sees a misspelt one."""

    model: str
    stream: bool


class LockWaitArguments(WaitArguments, TurnArguments, total=False):
    """`LockWaitSettings` as keyword arguments."""

    storage: Storage


class QuietWindowArguments(LockWaitArguments, total=False):
    """`QuietWindowSettings` as keyword arguments."""

    quiet_seconds: float


def retry_on_lock(
    openai_client: Any,
    redis_client: redis.asyncio.Redis,
    send: Sender,
    *,
    telemetry: Telemetry | None = None,
    **settings: Unpack[LockWaitArguments],
) -> "RetryOnLock":
    """The policy `retry_on_lock`; settings as in `LockWaitSettings`, which raises `ValueError` for wrong ones.

    Without a telemetry the process's own metrics count, and the log holds the policy's own lines only; so of the others.
    """
    read = LockWaitSettings.read("retry_on_lock", settings)
    return RetryOnLock(openai_client, redis_client, send, read, telemetry)


def quiet_window(
    openai_client: Any,
    redis_client: redis.asyncio.Redis,
    send: Sender,
    *,
    telemetry: Telemetry | None = None,
    **settings: Unpack[QuietWindowArguments],
) -> "QuietWindow":
    """The policy `quiet_window`; settings as in `QuietWindowSettings`, which raises `ValueError` for wrong ones."""
    read = QuietWindowSettings.read("quiet_window", settings)
    return QuietWindow(openai_client, redis_client, send, read, telemetry)


def chained(
    openai_client: Any,
    redis_client: redis.asyncio.Redis,
    send: Sender,
    *,
    telemetry: Telemetry | None = None,
    **settings: Unpack[TurnArguments],
) -> "Chained":
    """The policy `chained`; settings as in `TurnSettings`, which raises `ValueError` for wrong ones."""
    return Chained(openai_client, redis_client, send, TurnSettings.read("chained", settings), telemetry)


class _OneTurn(ABC):
    """A foreground turn for a message, and the customer told how it ended. Subclasses say how the turn is taken."""

    def __init__(
        self,
        openai_client: Any,
        redis_client: redis.asyncio.Redis,
        send: Sender,
        settings: TurnSettings,
        telemetry: Telemetry | None,
        storage: Storage,
    ) -> None:
        self._responses = openai_client.responses
        self._redis = redis_client
        self._kept = STORAGES[storage](openai_client, redis_client)
        self._send = send
        self._turn_settings = settings
        self._telemetry = default().quiet() if telemetry is None else telemetry

    async def handle(self, message: IncomingMessage) -> Handled:
        """Take one delivery of a message to its outcome, and send at most one text.

        An error on the way to a text is logged, and the customer gets the generic apology. An error of `send` leaves
        this method as it is, and so does `asyncio.CancelledError`.
        """
        told, loop, telemetry = Told(), asyncio.get_running_loop(), self._telemetry
        began_at = loop.time()
        telemetry.accepted(message.conversation, message.id)
        try:
            ending = await self._take(message, told)
        except Exception as error:
            ending = ending_by(error, message.conversation)
        outcome = Outcome.COVERED if ending is None else ending[0]
        if ending is not None:
            try:
                await self._send(message.conversation, ending[1])
            except Exception:
                telemetry.send_unknown(message.conversation)
                telemetry.outcome(message.conversation, Outcome.UNKNOWN, loop.time() - began_at)
                raise
        telemetry.outcome(message.conversation, outcome, loop.time() - began_at)
        return Handled(outcome, told.attempts, told.waited_seconds, told.response_id)

    @abstractmethod
    async def _take(self, message: IncomingMessage, told: Told) -> Ending | None:
        """The message's ending; None if it is left to the handling of a later message."""

    async def _turn(self, message: IncomingMessage, text: str, params: dict[str, Any], told: Told) -> Ending:
        """One turn in the foreground, and its reply."""
        told.attempts += 1
        settings, loop = self._turn_settings, asyncio.get_running_loop()
        began_at = loop.time()
        if settings.stream:
            stream = await self._responses.create(model=settings.model, stream=True, **params)
            response = await read_to_its_end(stream)
            if response is None:
                raise StreamEndedError("the stream ended before its response")
        else:
            response = await self._responses.create(model=settings.model, **params)
        self._telemetry.run_ended(message.conversation, response.id, response.status, loop.time() - began_at)
        ending = ending_of(response, told)
        if ending[0] is Outcome.ANSWERED:
            await self._kept.keep(message, text, response.id, response.output_text)
        return ending


class StreamEndedError(RuntimeError):
    """A stream ended without the event that ends a response."""


class RetryOnLock(_OneTurn):
    """See the module. One object serves any number of messages at once."""

    def __init__(
        self,
        openai_client: Any,
        redis_client: redis.asyncio.Redis,
        send: Sender,
        settings: LockWaitSettings,
        telemetry: Telemetry | None = None,
    ) -> None:
        super().__init__(openai_client, redis_client, send, settings, telemetry, settings.storage)
        self._waits = settings

    async def _take(self, message: IncomingMessage, told: Told) -> Ending | None:
        return await self._unlocked_turn(message, message.text, told)

    async def _unlocked_turn(self, message: IncomingMessage, text: str, told: Told) -> Ending:
        """A turn with this text, tried again after each wait while it is locked. Other errors are raised at once."""
        waits, telemetry, conversation = self._waits, self._telemetry, message.conversation
        params = await self._kept.turn(message, text)
        for number in range(1, waits.attempts + 1):
            try:
                ending = await self._turn(message, text, params, told)
            except openai.APIStatusError as error:
                if error.code != LOCKED:
                    raise
                telemetry.conflict(conversation, "unknown")
            else:
                if number > 1:
                    telemetry.recovered(number, told.waited_seconds, conversation)
                return ending
            if number <= len(waits.planned_waits):
                seconds = waits.drawn(waits.planned_waits[number - 1])
                logger.warning("[Relay] The conversation is locked; attempt %d waits %g s", number, seconds)
                if number < waits.attempts:  # the last wait is followed by an apology
                    telemetry.retry("runs.create", "conflict", seconds)  # named as by `drain` over Responses
                await asyncio.sleep(seconds)
                told.waited_seconds += seconds
        logger.error("[Relay] The conversation was still locked at attempt %d", told.attempts)
        telemetry.gave_up(waits.attempts, told.waited_seconds, conversation)
        return Outcome.FRIENDLY_APOLOGY, FRIENDLY_APOLOGY


class QuietWindow(RetryOnLock):
    """See the module. A message that a later one takes along ends as `covered`, before that one's reply is known."""

    def __init__(
        self,
        openai_client: Any,
        redis_client: redis.asyncio.Redis,
        send: Sender,
        settings: QuietWindowSettings,
        telemetry: Telemetry | None = None,
    ) -> None:
        super().__init__(openai_client, redis_client, send, settings, telemetry)
        self._quiet_seconds = settings.quiet_seconds

    async def _take(self, message: IncomingMessage, told: Told) -> Ending | None:
        burst, latest = BURST_KEY_PREFIX + message.conversation, LATEST_KEY_PREFIX + message.conversation
        await self._redis.rpush(burst, message.text)
        await self._redis.set(latest, message.id)
        await asyncio.sleep(self._quiet_seconds)
        if text_of(await self._redis.get(latest)) != message.id:
            return None
        texts = await self._redis.lrange(burst, 0, -1)
        await self._redis.delete(burst)
        if not texts:
            return None  # a redelivery: the first delivery has taken it
        return await self._unlocked_turn(message, "\n".join(text_of(each) for each in texts), told)


class Chained(_OneTurn):
    """See the module."""

    def __init__(
        self,
        openai_client: Any,
        redis_client: redis.asyncio.Redis,
        send: Sender,
        settings: TurnSettings,
        telemetry: Telemetry | None = None,
    ) -> None:
        super().__init__(openai_client, redis_client, send, settings, telemetry, "chain")

    async def _take(self, message: IncomingMessage, told: Told) -> Ending | None:
        return await self._turn(message, message.text, await self._kept.turn(message, message.text), told)
