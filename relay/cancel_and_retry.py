"""Policy `cancel-and-retry`: `check-then-act` with the fix that the incident report of 4 November 2025 describes.

When the API refuses the append because a run is active, the run named in the error is cancelled, and after a wait the
append is tried again, 3 times in all; then the customer is asked to wait a moment. The waits are 2, 4 and 8 s: as in
the report, the third failure is waited for as well, so that giving up takes 14 s.

The fix knows nothing of the run it cancels. Usually that run was answering the same customer's earlier message, in
another worker, which finds it `cancelled` and apologises. A conflict on creating the run is not retried.
"""

import asyncio
from typing import Unpack

import openai
import redis.asyncio

from relaysim.relay.check_then_act import CheckThenAct, Ending, Progress
from relaysim.relay.log_lines import PLAIN, WITH_SYMBOLS, logger
from relaysim.relay.messages import FRIENDLY_APOLOGY, Outcome, Sender
from relaysim.relay.policy_settings import RetryArguments, RetrySettings
from relaysim.relay.telemetry import Telemetry
from relaysim.relay.threads_api import ThreadsClient, active_run_id, describe, is_conflict


def cancel_and_retry(
    openai_client: ThreadsClient,
    redis_client: redis.asyncio.Redis,
    send: Sender,
    *,
    telemetry: Telemetry | None = None,
    **settings: Unpack[RetryArguments],
) -> "CancelAndRetry":
    """The policy `cancel-and-retry`; settings as in `RetrySettings`, which raises `ValueError` for wrong ones.

    Without a telemetry the process's own metrics count, and the log holds the policy's own lines only.
    """
    return CancelAndRetry(
        openai_client, redis_client, send, RetrySettings.read("cancel_and_retry", settings), telemetry
    )


class CancelAndRetry(CheckThenAct):
    """See the module. One object serves any number of messages at once."""

    def __init__(
        self,
        openai_client: ThreadsClient,
        redis_client: redis.asyncio.Redis,
        send: Sender,
        settings: RetrySettings,
        telemetry: Telemetry | None = None,
    ) -> None:
        super().__init__(openai_client, redis_client, send, settings, telemetry)
        self._retry = settings
        self._waits = settings.planned_waits
        self._lines = WITH_SYMBOLS if settings.log_symbols else PLAIN

    async def _append(self, thread_id: str, text: str, progress: Progress) -> Ending | None:
        """Append the customer's message, clearing its way at a conflict. Any other error is raised at once."""
        attempts = self._retry.attempts
        settled: set[str] = set()  # runs whose cancel is not requested again
        for attempt in range(1, attempts + 1):
            progress.attempts = attempt
            try:
                await self._messages.create(thread_id, role="user", content=text)
            except openai.APIError as error:
                if not is_conflict(error):
                    raise
                blocker = active_run_id(error)
                self._count_conflict(error, progress)
            else:
                if attempt > 1:
                    logger.info(self._lines.created, attempt)
                    self._telemetry.recovered(attempt, progress.waited_seconds, progress.conversation)
                return None
            logger.warning(self._lines.active_run_detected, attempt, attempts)
            if blocker is None:
                logger.warning("[Relay] The error names no run, so none is cancelled")
            elif blocker not in settled:
                answered = await self._cancel(blocker, thread_id, progress)
                if answered and self._retry.cancels == "first_conflict":
                    settled.add(blocker)
            if attempt <= len(self._waits):
                await self._wait(self._waits[attempt - 1], progress)
        logger.error(self._lines.failed, attempts)
        self._telemetry.gave_up(attempts, progress.waited_seconds, progress.conversation)
        return Outcome.FRIENDLY_APOLOGY, FRIENDLY_APOLOGY

    async def _cancel(self, run_id: str, thread_id: str, progress: Progress) -> bool:
        """Whether the API has answered it, be it with a refusal; after any other error the run may go on as it was."""
        logger.info(self._lines.attempting_to_cancel, run_id)
        try:
            if self._retry.cancel_with_thread_id:
                self._telemetry.cancel(progress.conversation, run_id, self._whose(run_id))
                await self._runs.cancel(run_id, thread_id=thread_id)
            else:
                await self._runs.cancel(run_id)  # type: ignore[call-arg]  # the printed code; raises TypeError
        except openai.APIError as error:
            if self._retry.cancel_error == "raise":
                raise
            # Most often the run is in `cancelling` since the check, or has ended: both free the thread by themselves.
            logger.warning("[Relay] The cancel of run %s failed, waiting anyway: %s", run_id, describe(error))
            return isinstance(error, openai.BadRequestError)
        logger.info(self._lines.cancellation_requested, run_id)
        return True

    async def _wait(self, planned_seconds: float, progress: Progress) -> None:
        seconds = self._retry.drawn(planned_seconds)
        logger.info(self._lines.waiting, round(seconds * 1000))
        if progress.attempts < self._retry.attempts:  # the last wait is followed by an apology
            self._telemetry.retry("messages.create", "conflict", seconds)
        await asyncio.sleep(seconds)
        progress.waited_seconds += seconds
