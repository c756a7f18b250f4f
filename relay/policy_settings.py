"""Every setting of the policies, with its unit, its range and its default.

The defaults are the incident's relay and its fix (incident report of 4 November 2025). What the report leaves open is
decided here: one place per decision, each of them a setting.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal, TypedDict

from relaysim.relay.setting_rules import (
    LEASE,
    MEMORY,
    PAUSE,
    SECONDS,
    Settings,
    choice,
    flag,
    name_rule,
    whole_number,
)
from relaysim.relay.wait_settings import WaitArguments, WaitSettings

CancelError = Literal["ignore", "raise"]
LockRelease = Literal["token", "delete"]
Cancels = Literal["each_conflict", "first_conflict"]

THREAD_KEY_PREFIX: Final = "thread:"
"""Redis keys that hold a conversation's thread id."""
SEEN_KEY_PREFIX: Final = "seen:"
"""Redis keys that remember a message id, if `deduplicate_seconds` asks for it."""


def _key_prefix(value: object) -> str | None:
    if value in (THREAD_KEY_PREFIX, SEEN_KEY_PREFIX):
        return "must differ from the prefixes of the relay's other keys, 'thread:' and 'seen:'"
    return name_rule(value)


@dataclass(frozen=True, kw_only=True)
class RelaySettings(Settings):
    """The settings of `check_then_act`. Raises `ValueError` naming every setting that is out of its range.

    assistant_id           the assistant that runs are created with
    poll_interval_seconds  above 0; pause before each look at the run
    poll_attempts          1 or more; looks at the run before the relay gives up, leaving the run as it is
    chat_lock_seconds      0.001 or more; lease of the lock per conversation, never renewed
    thread_lock_seconds    0.001 or more; lease of the lock per thread, never renewed
    chat_lock_prefix       its Redis key is this, followed by the conversation
    thread_lock_prefix     its Redis key is this, followed by the thread id
    lock_retry_seconds     above 0; pause between two tries to take a lock
    lock_wait_seconds      0 or more; how long a lock is tried before the customer gets the generic apology. The default
                           outlasts both leases, so that a crashed worker costs a delay and no apology
    lock_release           "token": delete the lock only if it is still ours; "delete": delete it whosever it is (the
                           well-known mistake, for comparison)
    deduplicate_seconds    0: off, as in the incident. Otherwise how long a message id is remembered: a redelivery
                           within that time is ignored, also if the first delivery's worker crashed
    """

    assistant_id: Annotated[str, name_rule] = "asst_relaysim"
    poll_interval_seconds: Annotated[float, PAUSE] = 1.0
    poll_attempts: Annotated[int, whole_number] = 60
    chat_lock_seconds: Annotated[float, LEASE] = 60.0
    thread_lock_seconds: Annotated[float, LEASE] = 120.0
    chat_lock_prefix: Annotated[str, _key_prefix] = "lock:chat:"
    thread_lock_prefix: Annotated[str, _key_prefix] = "lock:thread:"
    lock_retry_seconds: Annotated[float, PAUSE] = 0.1
    lock_wait_seconds: Annotated[float, SECONDS] = 180.0
    lock_release: Annotated[LockRelease, choice("token", "delete")] = "token"
    deduplicate_seconds: Annotated[float, MEMORY] = 0.0

    @classmethod
    def _unknown(cls, policy: str, name: str, value: object, known: Sequence[str]) -> str:
        if name in RetrySettings.rules():
            problem = f"{name} = {value!r}: {policy} has no such setting"
            return f"{problem}, as it never retries: remove it, or use cancel_and_retry"
        return super()._unknown(policy, name, value, known)


@dataclass(frozen=True, kw_only=True)
class RetrySettings(WaitSettings, RelaySettings):
    """The settings of `cancel_and_retry`: those of `check_then_act`, the waits of `WaitSettings`, and the following. With
    `wait_after_last_failure` the cancel is requested at the last conflict either way.

    cancels                  "each_conflict": the run that an error names is cancelled each time, as in the report;
                             "first_conflict": only until the API has answered a cancel of that run, be it with a
                             refusal; a later conflict with the same run is then only waited for
    cancel_error             what a refused or failed cancel of the blocking run does. "ignore": it is logged and the
                             wait goes on; "raise": the handling fails with the generic apology, as in the report's code
    cancel_with_thread_id    False calls `runs.cancel(run_id)` as printed in the report, which the SDK answers with a
                             TypeError before any request is sent: a bug in the call, not an answer, so `cancel_error`
                             does not cover it
    log_symbols              whether the report's symbols stand before its log lines
    """

    cancels: Annotated[Cancels, choice("each_conflict", "first_conflict")] = "each_conflict"
    cancel_error: Annotated[CancelError, choice("ignore", "raise")] = "ignore"
    cancel_with_thread_id: Annotated[bool, flag] = True
    log_symbols: Annotated[bool, flag] = True


class RelayArguments(TypedDict, total=False):
    """`RelaySettings` as keyword arguments, so that a type checker sees a misspelt one."""

    assistant_id: str
    poll_interval_seconds: float
    poll_attempts: int
    chat_lock_seconds: float
    thread_lock_seconds: float
    chat_lock_prefix: str
    thread_lock_prefix: str
    lock_retry_seconds: float
    lock_wait_seconds: float
    lock_release: LockRelease
    deduplicate_seconds: float


class RetryArguments(WaitArguments, RelayArguments, total=False):
    """`RetrySettings` as keyword arguments."""

    cancels: Cancels
    cancel_error: CancelError
    cancel_with_thread_id: bool
    log_symbols: bool
