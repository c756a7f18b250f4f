"""Policy `cancel-and-retry-as-run`: the incident's fix as servers are seen to run it, where that differs from the print.

- The check before the append waits for the cancel that it requested, 5 s at most; a run that is still active then is an
  error, and the customer gets the generic apology. So a run that frees its thread slowly never reaches the retry loop.
- No wait after the last attempt: giving up takes 2 + 4 = 6 s, and not 14.
- A refused cancel is swallowed.
- A message that was created at the first attempt is logged too, so that a grep for the line counts every message.
"""

import asyncio
from dataclasses import dataclass
from typing import Annotated, Unpack

import redis.asyncio

from relaysim.relay.cancel_and_retry import CancelAndRetry
from relaysim.relay.check_then_act import Ending, Progress
from relaysim.relay.log_lines import logger
from relaysim.relay.messages import Sender
from relaysim.relay.policy_settings import RetryArguments, RetrySettings
from relaysim.relay.setting_rules import PAUSE, SECONDS, flag
from relaysim.relay.telemetry import Telemetry
from relaysim.relay.threads_api import CANCELLABLE_STATES, ThreadsClient

_ACTIVE = CANCELLABLE_STATES | {"cancelling"}


@dataclass(frozen=True, kw_only=True)
class AsRunSettings(RetrySettings):
    """The settings of `cancel_and_retry_as_run`: those of `cancel_and_retry` and the following.

    check_patience_seconds  0 or more; how long the check waits for the run that it found to end before it raises
    check_poll_seconds      above 0; pause before each look of the check
    """

    wait_after_last_failure: Annotated[bool, flag] = False
    check_patience_seconds: Annotated[float, SECONDS] = 5.0
    check_poll_seconds: Annotated[float, PAUSE] = 1.0


class AsRunArguments(RetryArguments, total=False):
    """`AsRunSettings` as keyword arguments."""

    check_patience_seconds: float
    check_poll_seconds: float


class RunStillActiveError(RuntimeError):
    """The run that the check cancelled has not ended in time."""


def cancel_and_retry_as_run(
    openai_client: ThreadsClient,
    redis_client: redis.asyncio.Redis,
    send: Sender,
    *,
    telemetry: Telemetry | None = None,
    **settings: Unpack[AsRunArguments],
) -> "CancelAndRetryAsRun":
    """The policy; settings as in `AsRunSettings`, which raises `ValueError` for wrong ones."""
    read = AsRunSettings.read("cancel_and_retry_as_run", settings)
    return CancelAndRetryAsRun(openai_client, redis_client, send, read, telemetry)


class CancelAndRetryAsRun(CancelAndRetry):
    """See the module. One object serves any number of messages at once."""

    def __init__(
        self,
        openai_client: ThreadsClient,
        redis_client: redis.asyncio.Redis,
        send: Sender,
        settings: AsRunSettings,
        telemetry: Telemetry | None = None,
    ) -> None:
        super().__init__(openai_client, redis_client, send, settings, telemetry)
        self._as_run = settings

    async def _request_cancel_of_active_run(self, thread_id: str, progress: Progress) -> str | None:
        """The check: as it is; if it found a run, a look after each pause until that run has ended."""
        loop = asyncio.get_running_loop()
        found = await super()._request_cancel_of_active_run(thread_id, progress)
        if found is None:
            return None
        gives_up_at = loop.time() + self._as_run.check_patience_seconds
        while loop.time() < gives_up_at:
            await asyncio.sleep(self._as_run.check_poll_seconds)
            run = await self._runs.retrieve(found, thread_id=thread_id)
            if run.status not in _ACTIVE:
                return found
        raise RunStillActiveError(f"{found} is still active")

    async def _append(self, thread_id: str, text: str, progress: Progress) -> Ending | None:
        """As the fix does, with a line for the first attempt too."""
        refusal = await super()._append(thread_id, text, progress)
        if refusal is None and progress.attempts == 1:
            logger.info(self._lines.created, 1)
        return refusal
