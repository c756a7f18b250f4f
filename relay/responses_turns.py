"""Policies on Responses with Conversations as people write them: what they do with a turn besides waiting for it.

    retry_broken_stream  reads a turn as it is written, and takes a stream that broke off for one that did not happen
    cancel_for_newer     takes turns in the background, and cancels the one at work when the customer writes again
    answer_calls         gives the outputs of function calls, in the turn after the one that called

Like those of `responses_waits` they take no lock of their own and remember no message id. Their faults are kept on purpose,
because they are what is judged; a setting mends each where it can be mended:

- `retry_broken_stream`: the turn goes on without its reader, and holds the conversation against its own repetition.
- `cancel_for_newer`: a cancel that was refused is taken for one that was not needed; if it came too late, the words of the
  turn that completed are asked once more. With `believes_refusal` they are not.
- `answer_calls`: a worker that ends between a call and its output leaves a conversation that refuses every further turn.
  With `answers_orphans` the next message brings an output for each call that has none.
"""

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import openai
import redis.asyncio

from relaysim.relay.log_lines import logger
from relaysim.relay.messages import FRIENDLY_APOLOGY, Handled, IncomingMessage, Outcome, Sender
from relaysim.relay.responses_endings import LOCKED, Ending, Told, ending_by, ending_of, read_to_its_end
from relaysim.relay.setting_rules import PAUSE, Settings, flag, name_rule
from relaysim.relay.threads_api import describe

WAITS_SECONDS: Final = (1.0, 2.0, 4.0)
"""Before each repetition of a turn; as openai-agents for Python 0.24 waits for a lock."""
AT_WORK_KEY_PREFIX: Final = "at-work:"
"""Redis keys that hold the id and the texts of the turn at work (`cancel_for_newer`)."""
ROUNDS_MAX: Final = 5
"""Turns with function calls for one message (`answer_calls`)."""
NOT_KNOWN: Final = "not known"
"""The output for a call whose worker is gone (`answer_calls`)."""
_WORKING: Final = frozenset({"queued", "in_progress"})


@dataclass(frozen=True, kw_only=True)
class StreamSettings(Settings):
    """The settings of `retry_broken_stream`. Raises `ValueError` naming every setting that is out of its range.

    model  which model answers
    """

    model: Annotated[str, name_rule] = "gpt-4.1"


@dataclass(frozen=True, kw_only=True)
class NewerSettings(StreamSettings):
    """The settings of `cancel_for_newer`: those of `StreamSettings` and the following.

    poll_seconds      above 0: between looks at the turn at work
    believes_refusal  whether words are not asked again if the cancel of their turn was refused, since it had ended
    """

    poll_seconds: Annotated[float, PAUSE] = 1.0
    believes_refusal: Annotated[bool, flag] = False


@dataclass(frozen=True, kw_only=True)
class CallSettings(StreamSettings):
    """The settings of `answer_calls`: those of `StreamSettings` and the following.

    tool_seconds     above 0: how long a function takes
    answers_orphans  whether calls without an output are given one when the conversation refuses a turn because of them
    """

    tool_seconds: Annotated[float, PAUSE] = 1.0
    answers_orphans: Annotated[bool, flag] = False


def retry_broken_stream(
    openai_client: Any, redis_client: redis.asyncio.Redis, send: Sender, **settings: Any
) -> "RetryBrokenStream":
    """The policy `retry_broken_stream`; settings as in `StreamSettings`, which raises `ValueError` for wrong ones."""
    return RetryBrokenStream(openai_client, redis_client, send, StreamSettings.read("retry_broken_stream", settings))


def cancel_for_newer(
    openai_client: Any, redis_client: redis.asyncio.Redis, send: Sender, **settings: Any
) -> "CancelForNewer":
    """The policy `cancel_for_newer`; settings as in `NewerSettings`, which raises `ValueError` for wrong ones."""
    return CancelForNewer(openai_client, redis_client, send, NewerSettings.read("cancel_for_newer", settings))


def answer_calls(openai_client: Any, redis_client: redis.asyncio.Redis, send: Sender, **settings: Any) -> "AnswerCalls":
    """The policy `answer_calls`; settings as in `CallSettings`, which raises `ValueError` for wrong ones."""
    return AnswerCalls(openai_client, redis_client, send, CallSettings.read("answer_calls", settings))


class _Turns(ABC):
    """A conversation's turns for a message, and the customer told how they ended. Subclasses say how they are taken."""

    def __init__(
        self, openai_client: Any, redis_client: redis.asyncio.Redis, send: Sender, settings: StreamSettings
    ) -> None:
        self._responses, self._conversations = openai_client.responses, openai_client.conversations
        self._redis = redis_client
        self._send = send
        self._model = settings.model

    async def handle(self, message: IncomingMessage) -> Handled:
        """Take one delivery of a message to its outcome, and send at most one text.

        An error on the way to a text is logged, and the customer gets the generic apology. An error of `send` leaves
        this method as it is, and so does `asyncio.CancelledError`.

        Raises:
            ValueError: the message does not tell its conversation's id.
        """
        if message.thread_id is None:
            raise ValueError("thread_id is missing: this policy keeps no conversations of its own")
        told = Told()
        try:
            ending = await self._take(message, message.thread_id, told)
        except Exception as error:
            ending = ending_by(error, message.conversation)
        if ending is not None:
            await self._send(message.conversation, ending[1])
        outcome = Outcome.COVERED if ending is None else ending[0]
        return Handled(outcome, told.attempts, told.waited_seconds, told.response_id)

    @abstractmethod
    async def _take(self, message: IncomingMessage, conversation_id: str, told: Told) -> Ending | None:
        """The message's ending; None if it is left to the handling of a later message."""

    async def _create(self, conversation_id: str, told: Told, **params: Any) -> Any:
        told.attempts += 1
        return await self._responses.create(model=self._model, conversation=conversation_id, **params)

    async def _wait(self, told: Told, seconds: float, why: str) -> None:
        logger.warning("[Relay] %s; attempt %d waits %g s", why, told.attempts, seconds)
        await asyncio.sleep(seconds)
        told.waited_seconds += seconds


class RetryBrokenStream(_Turns):
    """See the module. One object serves any number of messages at once."""

    async def _take(self, message: IncomingMessage, conversation_id: str, told: Told) -> Ending | None:
        for wait in (*WAITS_SECONDS, None):
            try:
                stream = await self._create(conversation_id, told, input=message.text, stream=True)
                response = await read_to_its_end(stream)
                if response is not None:
                    return ending_of(response, told)
                why = "The stream ended before its response"
            except openai.APIStatusError as error:
                if error.code != LOCKED:
                    raise
                why = "The conversation is locked"
            except openai.APIConnectionError:
                why = "The stream broke off"
            if wait is not None:
                await self._wait(told, wait, why)
        logger.error("[Relay] No stream came to its end in %d attempts", told.attempts)
        return Outcome.FRIENDLY_APOLOGY, FRIENDLY_APOLOGY


class CancelForNewer(_Turns):
    """See the module. A message whose turn was cancelled ends as `covered`, before the newer one's reply is known."""

    def __init__(
        self, openai_client: Any, redis_client: redis.asyncio.Redis, send: Sender, settings: NewerSettings
    ) -> None:
        super().__init__(openai_client, redis_client, send, settings)
        self._settings = settings

    async def _take(self, message: IncomingMessage, conversation_id: str, told: Told) -> Ending | None:
        key = AT_WORK_KEY_PREFIX + message.conversation
        at_work = await self._redis.get(key)
        texts = [message.text]
        if at_work is not None:
            older_id, *older_texts = json.loads(at_work)
            if await self._cancelled(older_id) or not self._settings.believes_refusal:
                texts = [*older_texts, *texts]
        response = await self._unlocked(conversation_id, texts, told)
        await self._redis.set(key, json.dumps([response.id, *texts]))
        while response.status in _WORKING:
            await asyncio.sleep(self._settings.poll_seconds)
            response = await self._responses.retrieve(response.id)
        newest = await self._redis.get(key)
        if newest is not None and json.loads(newest)[0] == response.id:
            await self._redis.delete(key)
        if response.status == "cancelled":
            return None
        return ending_of(response, told)

    async def _cancelled(self, response_id: str) -> bool:
        try:
            await self._responses.cancel(response_id)
        except openai.BadRequestError as error:
            logger.warning("[Relay] Response %s was not cancelled: %s", response_id, describe(error))
            return False
        return True

    async def _unlocked(self, conversation_id: str, texts: Sequence[str], told: Told) -> Any:
        words = [{"type": "message", "role": "user", "content": text} for text in texts]
        for wait in WAITS_SECONDS:
            try:
                return await self._create(conversation_id, told, input=words, background=True)
            except openai.APIStatusError as error:
                if error.code != LOCKED:
                    raise
            await self._wait(told, wait, "The conversation is locked")
        return await self._create(conversation_id, told, input=words, background=True)


class AnswerCalls(_Turns):
    """See the module. One object serves any number of messages at once."""

    def __init__(
        self, openai_client: Any, redis_client: redis.asyncio.Redis, send: Sender, settings: CallSettings
    ) -> None:
        super().__init__(openai_client, redis_client, send, settings)
        self._settings = settings

    async def _take(self, message: IncomingMessage, conversation_id: str, told: Told) -> Ending | None:
        words = {"type": "message", "role": "user", "content": message.text}
        try:
            response = await self._create(conversation_id, told, input=[words])
        except openai.BadRequestError as error:
            if not self._settings.answers_orphans or "No tool output found" not in str(error):
                raise
            outputs = [_output_of(call_id, NOT_KNOWN) for call_id in await self._orphans(conversation_id)]
            response = await self._create(conversation_id, told, input=[*outputs, words])
        for _ in range(ROUNDS_MAX):
            calls = [item for item in response.output if item.type == "function_call"]
            if not calls:
                break
            await asyncio.sleep(self._settings.tool_seconds)
            outputs = [_output_of(call.call_id, f"{call.name}: done") for call in calls]
            response = await self._create(conversation_id, told, input=outputs)
        return ending_of(response, told)

    async def _orphans(self, conversation_id: str) -> list[str]:
        """The ids of the calls that have no output, oldest first."""
        page = await self._conversations.items.list(conversation_id, limit=100, order="asc")
        given = {item.call_id for item in page.data if item.type == "function_call_output"}
        return [item.call_id for item in page.data if item.type == "function_call" and item.call_id not in given]


def _output_of(call_id: str, output: str) -> dict[str, str]:
    return {"type": "function_call_output", "call_id": call_id, "output": output}
