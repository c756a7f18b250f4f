"""Policy `check-then-act`: what the incident of 4 November 2025 ran before its fix.

One message is handled like this, under a lock for its conversation and one for its thread:

    list the thread's runs once; request the cancel of an active one, and do not wait for it     (check)
    append the message to the thread                                                             (then act)
    create a run, look at it once a second
    send the newest message of the thread

Its faults are kept on purpose, because they are what is judged:

- Check and append are two requests. A run created in between (by a worker whose lock ran out, or who has none) makes
  the API refuse the append.
- Locks are not renewed, and nothing notices when one runs out.
- It gives up on its run after 60 looks, with the generic apology and without cancelling it: the run stays active,
  nobody waits for it, and the next message's check will cancel it. The same after an error while polling.
- It takes the newest message of the thread for its answer, whosever run wrote it.
- It apologises for a run that someone else has cancelled, even where a later run answered both messages.
- It remembers no message id, so a redelivered webhook is a second message (but see `deduplicate_seconds`).
"""

import asyncio
from dataclasses import dataclass
from typing import Final, Literal, Unpack

import openai
import redis.asyncio

from relaysim.relay.locks import LockNotTaken, Locks
from relaysim.relay.log_lines import logger, pseudonym
from relaysim.relay.messages import GENERIC_APOLOGY, Handled, IncomingMessage, Outcome, Sender
from relaysim.relay.policy_settings import SEEN_KEY_PREFIX, THREAD_KEY_PREFIX, RelayArguments, RelaySettings
from relaysim.relay.telemetry import Cause, Telemetry, default
from relaysim.relay.threads_api import (
    CANCELLABLE_STATES,
    ENDED_STATES,
    Run,
    ThreadsClient,
    active_run_id,
    describe,
    is_conflict,
    is_creation_conflict,
    text_of,
)

RUNS_LISTED: Final = 10
"""How many of a thread's runs the check looks at, newest first. At most one can be active."""


def check_then_act(
    openai_client: ThreadsClient,
    redis_client: redis.asyncio.Redis,
    send: Sender,
    *,
    telemetry: Telemetry | None = None,
    **settings: Unpack[RelayArguments],
) -> "CheckThenAct":
    """The policy `check-then-act`; settings as in `RelaySettings`, which raises `ValueError` for wrong ones.

    Without a telemetry the process's own metrics count, and the log holds the policy's own lines only.
    """
    return CheckThenAct(openai_client, redis_client, send, RelaySettings.read("check_then_act", settings), telemetry)


@dataclass(slots=True)
class Progress:
    """What is known of one handling so far."""

    conversation: str
    attempts: int = 0
    waited_seconds: float = 0.0
    thread_id: str | None = None
    run_id: str | None = None


Ending = tuple[Outcome, str]
"""How a handling ends, and the text that tells the customer."""

_GENERIC_ENDING: Final[Ending] = (Outcome.GENERIC_APOLOGY, GENERIC_APOLOGY)


class CheckThenAct:
    """See the module. One object serves any number of messages at once."""

    def __init__(
        self,
        openai_client: ThreadsClient,
        redis_client: redis.asyncio.Redis,
        send: Sender,
        settings: RelaySettings,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._threads = openai_client.beta.threads
        self._messages = self._threads.messages
        self._runs = self._threads.runs
        self._redis = redis_client
        self._send = send
        self._settings = settings
        self._telemetry = default().quiet() if telemetry is None else telemetry
        self._polled: set[str] = set()  # runs that this worker looks at, so that it can tell its own from others'

    async def handle(self, message: IncomingMessage) -> Handled:
        """Take one delivery of a message to its outcome, and send at most one text, under the locks.

        No error of the API or of Redis leaves this method, nor any other error on the way to a text: they are logged,
        and the customer gets the generic apology. What does leave it:

        - an error of `send`, as it is: whether the text arrived cannot be known here, so that neither an apology nor a
          second try may follow. The caller knows its channel and decides. To deliver the message again would append and
          answer it again.
        - `asyncio.CancelledError`: the locks are released, the customer gets nothing, a run may stay active.
        """
        settings = self._settings
        progress = Progress(message.conversation)
        began_at = asyncio.get_running_loop().time()
        async with Locks(
            self._redis,
            release=settings.lock_release,
            retry_seconds=settings.lock_retry_seconds,
            wait_seconds=settings.lock_wait_seconds,
        ) as locks:
            try:
                ending = await self._handle(message, locks, progress)
            except Exception as error:
                _log_failure(error, message, progress)
                if isinstance(error, openai.APIError) and (is_conflict(error) or is_creation_conflict(error)):
                    self._count_conflict(error, progress)
                ending = _GENERIC_ENDING
            if ending is not None:
                await self._deliver(message.conversation, *ending, began_at)
        outcome = ending[0] if ending is not None else None
        return Handled(outcome, progress.attempts, progress.waited_seconds, progress.run_id)

    async def _handle(self, message: IncomingMessage, locks: Locks, progress: Progress) -> Ending | None:
        """The message's ending; None if this is a redelivery that is to be ignored."""
        settings = self._settings
        if settings.deduplicate_seconds and not await self._is_first_delivery(message):
            logger.info("[Relay] Redelivery ignored in conversation %s", pseudonym(message.conversation))
            self._telemetry.duplicate(message.conversation, message.id)
            return None
        self._telemetry.accepted(message.conversation, message.id)
        await locks.take("chat", settings.chat_lock_prefix + message.conversation, settings.chat_lock_seconds)
        thread_id = progress.thread_id = message.thread_id or await self._thread_of(message.conversation)
        await locks.take("thread", settings.thread_lock_prefix + thread_id, settings.thread_lock_seconds)
        await self._request_cancel_of_active_run(thread_id, progress)
        refusal = await self._append(thread_id, message.text, progress)
        if refusal is not None:
            return refusal
        run = await self._runs.create(thread_id, assistant_id=settings.assistant_id)
        progress.run_id = run.id
        self._telemetry.run_created(message.conversation, run.id, epoch=None)
        self._polled.add(run.id)
        try:
            return await self._ending_of(thread_id, run, progress)
        finally:
            self._polled.discard(run.id)

    async def _deliver(self, conversation: str, outcome: Outcome, text: str, began_at: float) -> None:
        loop, telemetry = asyncio.get_running_loop(), self._telemetry
        try:
            await self._send(conversation, text)
        except Exception:
            telemetry.send_unknown(conversation)
            telemetry.outcome(conversation, Outcome.UNKNOWN, loop.time() - began_at)
            raise
        telemetry.outcome(conversation, outcome, loop.time() - began_at)

    async def _is_first_delivery(self, message: IncomingMessage) -> bool:
        memory_milliseconds = round(self._settings.deduplicate_seconds * 1000)
        return bool(await self._redis.set(SEEN_KEY_PREFIX + message.id, "1", nx=True, px=memory_milliseconds))

    async def _thread_of(self, conversation: str) -> str:
        """The conversation's thread id from Redis, its thread created first if there is none."""
        key = THREAD_KEY_PREFIX + conversation
        known = await self._redis.get(key)
        if known is None:
            created = (await self._threads.create()).id
            # The chat lock may have run out meanwhile: whoever wrote first is right, and all use that one thread.
            await self._redis.set(key, created, nx=True)
            known = await self._redis.get(key) or created
        return known.decode() if isinstance(known, bytes) else str(known)

    async def _request_cancel_of_active_run(self, thread_id: str, progress: Progress) -> str | None:
        """The check, and the run that it found. A run already in `cancelling` is left alone; a refused cancel is no reason
        not to go on."""
        page = await self._runs.list(thread_id, limit=RUNS_LISTED)
        active = next((run for run in page.data if run.status in CANCELLABLE_STATES), None)
        if active is None:
            return None
        self._telemetry.cancel(progress.conversation, active.id, self._whose(active.id))
        try:
            await self._runs.cancel(active.id, thread_id=thread_id)
        except openai.APIError as error:
            logger.warning("[Relay] Run %s is active; its cancel failed: %s", active.id, describe(error))
        else:
            logger.info("[Relay] Run %s is active; its cancel was requested", active.id)
        return active.id

    def _whose(self, run_id: str) -> Literal["own", "other"]:
        return "own" if run_id in self._polled else "other"

    def _count_conflict(self, error: openai.APIError, progress: Progress) -> None:
        blocker = active_run_id(error)
        cause: Cause = "unknown" if blocker is None else "own" if blocker in self._polled else "foreign"
        self._telemetry.conflict(progress.conversation, cause, blocker)

    async def _append(self, thread_id: str, text: str, progress: Progress) -> Ending | None:
        """Append the customer's message: None, or how the handling ends instead. Raises the API's errors."""
        progress.attempts = 1
        await self._messages.create(thread_id, role="user", content=text)
        return None

    async def _ending_of(self, thread_id: str, run: Run, progress: Progress) -> Ending:
        """Look at the run until it has ended, then read the newest message of the thread."""
        settings, loop = self._settings, asyncio.get_running_loop()
        created_at = loop.time()
        for _ in range(settings.poll_attempts):
            if run.status in ENDED_STATES:
                break
            await asyncio.sleep(settings.poll_interval_seconds)
            run = await self._runs.retrieve(run.id, thread_id=thread_id)
        if run.status not in ENDED_STATES:
            logger.warning(
                "[Relay] Gave up on run %s after %d looks; it is left in %s", run.id, settings.poll_attempts, run.status
            )
            self._telemetry.lost_reply(progress.conversation, run.id, "given_up")
            return _GENERIC_ENDING
        self._telemetry.run_ended(progress.conversation, run.id, run.status, loop.time() - created_at)
        if run.status != "completed":
            logger.warning("[Relay] Run %s ended in %s", run.id, run.status)
            return _GENERIC_ENDING
        page = await self._messages.list(thread_id, limit=1, order="desc")
        newest = page.data[0] if page.data else None
        answer = text_of(newest) if newest is not None and newest.role == "assistant" else None
        if answer is None:
            logger.warning("[Relay] Run %s is completed, but the newest message is no answer", run.id)
            self._telemetry.lost_reply(progress.conversation, run.id, "not_found")
            return _GENERIC_ENDING
        return Outcome.ANSWERED, answer


def _log_failure(error: Exception, message: IncomingMessage, progress: Progress) -> None:
    where = f"on {progress.thread_id}" if progress.thread_id else f"in conversation {pseudonym(message.conversation)}"
    if isinstance(error, LockNotTaken):
        logger.error("[Relay] Handling failed %s: %s", where, error)
        return
    # Anything but an answer of the API or a failure of Redis is a bug in this program: its traceback is wanted.
    expected = isinstance(error, openai.APIError | redis.RedisError)
    logger.error(
        "[Relay] Handling failed %s: %s",
        where,
        describe(error),
        exc_info=None if expected else error,
        extra={"request_id": getattr(error, "request_id", None)},
    )
