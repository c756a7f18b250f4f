"""Policies on Responses with Conversations as people write them: what they do about a conversation that is busy.

A busy conversation answers a second turn with 400 `conversation_locked`, which names nobody: there is nothing to cancel,
so that the incident's fix has no counterpart here. What is left is to wait. Message and turn are one request: a message
whose turn was never taken is nowhere, and whoever gives up loses it.

    retry_on_lock   repeats the turn after each of `waits`: 1, 2, 4 s as openai-agents does, or 2, 4, 8 s as the fix did
    quiet_window    waits until the customer has been quiet for some seconds, and takes all that came into one turn
    chained         keeps the id of each conversation's last response in Redis and continues it; no conversation, no lock

They take no lock of their own, renew nothing and remember no message id. Their faults are kept on purpose, because they are
what is judged:

- `retry_on_lock`: whichever message tries at the right moment goes first, so that a later one can overtake an earlier one.
- `quiet_window`: what it has taken out of Redis is lost if its worker ends before the reply has left.
- `chained`: two turns at once continue the same response, and of the two branches the conversation keeps the one whose id
  was written last.
- all: a turn whose answer is lost is lost with its message; the client may have repeated it before.
"""

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import openai
import redis.asyncio

from relaysim.relay.log_lines import logger, pseudonym
from relaysim.relay.messages import FRIENDLY_APOLOGY, GENERIC_APOLOGY, Handled, IncomingMessage, Outcome, Sender
from relaysim.relay.setting_rules import PAUSE, Settings, is_finite, name_rule
from relaysim.relay.threads_api import describe

LOCKED: Final = "conversation_locked"
"""The error's code, both with 400 (OpenAI) and with 409 (Foundry's hosted agents)."""
CONVERSATION_KEY_PREFIX: Final = "conversation:"
"""Redis keys that hold a customer's conversation id, where a message does not tell it."""
RESPONSE_KEY_PREFIX: Final = "response:"
"""Redis keys that hold the id of the last response (`chained`)."""
BURST_KEY_PREFIX: Final = "burst:"
"""Redis lists of the texts that wait for a customer to be quiet (`quiet_window`)."""
LATEST_KEY_PREFIX: Final = "latest:"
"""Redis keys that hold the id of the message that came last (`quiet_window`)."""


def _waits(value: object) -> str | None:
    if isinstance(value, list | tuple) and all(is_finite(wait) and wait >= 0 for wait in value):
        return None if math.isfinite(sum(value)) else "must not add up to infinity"
    return "must be a list of numbers of seconds, each 0 or more"


@dataclass(frozen=True, kw_only=True)
class TurnSettings(Settings):
    """The settings of `chained`. Raises `ValueError` naming every setting that is out of its range.

    model  which model answers
    """

    model: Annotated[str, name_rule] = "gpt-4.1"


@dataclass(frozen=True, kw_only=True)
class LockWaitSettings(TurnSettings):
    """The settings of `retry_on_lock`: those of `TurnSettings` and the following.

    waits  seconds before each retry; as many retries as there are waits. By default those of openai-agents for Python 0.24
    """

    waits: Annotated[Sequence[float], _waits] = (1.0, 2.0, 4.0)


@dataclass(frozen=True, kw_only=True)
class QuietWindowSettings(LockWaitSettings):
    """The settings of `quiet_window`: those of `LockWaitSettings` and the following.

    quiet_seconds  above 0: so long after a customer's last message all that came is answered (5 to 8 s are usual)
    """

    quiet_seconds: Annotated[float, PAUSE] = 6.0


def retry_on_lock(
    openai_client: Any, redis_client: redis.asyncio.Redis, send: Sender, **settings: Any
) -> "RetryOnLock":
    """The policy `retry_on_lock`; settings as in `LockWaitSettings`, which raises `ValueError` for wrong ones."""
    return RetryOnLock(openai_client, redis_client, send, LockWaitSettings.read("retry_on_lock", settings))


def quiet_window(openai_client: Any, redis_client: redis.asyncio.Redis, send: Sender, **settings: Any) -> "QuietWindow":
    """The policy `quiet_window`; settings as in `QuietWindowSettings`, which raises `ValueError` for wrong ones."""
    return QuietWindow(openai_client, redis_client, send, QuietWindowSettings.read("quiet_window", settings))


def chained(openai_client: Any, redis_client: redis.asyncio.Redis, send: Sender, **settings: Any) -> "Chained":
    """The policy `chained`; settings as in `TurnSettings`, which raises `ValueError` for wrong ones."""
    return Chained(openai_client, redis_client, send, TurnSettings.read("chained", settings))


@dataclass(slots=True)
class _Told:
    """What a handling reports besides its outcome."""

    attempts: int = 0
    waited_seconds: float = 0.0
    response_id: str | None = None


Ending = tuple[Outcome, str]
"""How a handling ends, and the text that tells the customer."""


class _OneTurn(ABC):
    """A foreground turn for a message, and the customer told how it ended. Subclasses say how the turn is taken."""

    def __init__(
        self, openai_client: Any, redis_client: redis.asyncio.Redis, send: Sender, settings: TurnSettings
    ) -> None:
        self._responses, self._conversations = openai_client.responses, openai_client.conversations
        self._redis = redis_client
        self._send = send
        self._model = settings.model

    async def handle(self, message: IncomingMessage) -> Handled:
        """Take one delivery of a message to its outcome, and send at most one text.

        An error on the way to a text is logged, and the customer gets the generic apology. An error of `send` leaves
        this method as it is, and so does `asyncio.CancelledError`.
        """
        told = _Told()
        try:
            ending = await self._take(message, told)
        except Exception as error:
            expected = isinstance(error, openai.APIError | redis.RedisError)
            logger.error(
                "[Relay] Handling failed in conversation %s: %s",
                pseudonym(message.conversation),
                describe(error),
                exc_info=None if expected else error,
            )
            ending = (Outcome.GENERIC_APOLOGY, GENERIC_APOLOGY)
        if ending is not None:
            await self._send(message.conversation, ending[1])
        outcome = Outcome.COVERED if ending is None else ending[0]
        return Handled(outcome, told.attempts, told.waited_seconds, told.response_id)

    @abstractmethod
    async def _take(self, message: IncomingMessage, told: _Told) -> Ending | None:
        """The message's ending; None if it is left to the handling of a later message."""

    async def _turn(self, told: _Told, **params: Any) -> Ending:
        """One turn in the foreground, and its reply."""
        told.attempts += 1
        response = await self._responses.create(model=self._model, **params)
        told.response_id = response.id
        if response.status != "completed" or not response.output_text:
            logger.warning("[Relay] Response %s ended in %s", response.id, response.status)
            return Outcome.GENERIC_APOLOGY, GENERIC_APOLOGY
        return Outcome.ANSWERED, response.output_text

    async def _conversation_of(self, message: IncomingMessage) -> str:
        """The customer's conversation: as the message tells it, or from Redis, created first if there is none."""
        if message.thread_id is not None:
            return message.thread_id
        key = CONVERSATION_KEY_PREFIX + message.conversation
        known = await self._redis.get(key)
        if known is None:
            created = (await self._conversations.create()).id
            await self._redis.set(key, created, nx=True)  # whoever wrote first is right
            known = await self._redis.get(key) or created
        return _text(known)


class RetryOnLock(_OneTurn):
    """See the module. One object serves any number of messages at once."""

    def __init__(
        self, openai_client: Any, redis_client: redis.asyncio.Redis, send: Sender, settings: LockWaitSettings
    ) -> None:
        super().__init__(openai_client, redis_client, send, settings)
        self._waits = tuple(settings.waits)

    async def _take(self, message: IncomingMessage, told: _Told) -> Ending | None:
        return await self._unlocked_turn(await self._conversation_of(message), message.text, told)

    async def _unlocked_turn(self, conversation_id: str, text: str, told: _Told) -> Ending:
        """A turn in the conversation, tried again after each wait while it is locked. Other errors are raised at once."""
        for wait in (*self._waits, None):
            try:
                return await self._turn(told, conversation=conversation_id, input=text)
            except openai.APIStatusError as error:
                if error.code != LOCKED:
                    raise
            if wait is not None:
                logger.warning("[Relay] The conversation is locked; attempt %d waits %g s", told.attempts, wait)
                await asyncio.sleep(wait)
                told.waited_seconds += wait
        logger.error("[Relay] The conversation was still locked at attempt %d", told.attempts)
        return Outcome.FRIENDLY_APOLOGY, FRIENDLY_APOLOGY


class QuietWindow(RetryOnLock):
    """See the module. A message that a later one takes along ends as `covered`, before that one's reply is known."""

    def __init__(
        self, openai_client: Any, redis_client: redis.asyncio.Redis, send: Sender, settings: QuietWindowSettings
    ) -> None:
        super().__init__(openai_client, redis_client, send, settings)
        self._quiet_seconds = settings.quiet_seconds

    async def _take(self, message: IncomingMessage, told: _Told) -> Ending | None:
        burst, latest = BURST_KEY_PREFIX + message.conversation, LATEST_KEY_PREFIX + message.conversation
        await self._redis.rpush(burst, message.text)
        await self._redis.set(latest, message.id)
        await asyncio.sleep(self._quiet_seconds)
        if _text(await self._redis.get(latest)) != message.id:
            return None
        texts = await self._redis.lrange(burst, 0, -1)
        await self._redis.delete(burst)
        if not texts:
            return None  # a redelivery: the first delivery has taken it
        text = "\n".join(_text(each) for each in texts)
        return await self._unlocked_turn(await self._conversation_of(message), text, told)


class Chained(_OneTurn):
    """See the module."""

    async def _take(self, message: IncomingMessage, told: _Told) -> Ending | None:
        key = RESPONSE_KEY_PREFIX + message.conversation
        previous = await self._redis.get(key)
        chain = {} if previous is None else {"previous_response_id": _text(previous)}
        ending = await self._turn(told, input=message.text, **chain)
        if ending[0] is Outcome.ANSWERED and told.response_id is not None:
            await self._redis.set(key, told.response_id)
        return ending


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
