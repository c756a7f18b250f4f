"""The log lines that operators search for, in the wording of the incident report of 4 November 2025.

They search with plain `grep`, in whose basic expressions parentheses stand for themselves (under `grep -E` the first of
these would look for "successfully attempt 2" and find nothing)::

    grep 'Message created successfully (attempt [2-3])'       messages that the retry saved
    grep 'Failed to create message after 3 attempts'          messages that it did not

Every line goes to the logger `relay`. Lines in the relay's own words begin with "[Relay]". No line holds a customer's
words or the name of a conversation: where no thread or run is known yet, `pseudonym` stands for the conversation.
"""

import hashlib
import logging
from dataclasses import dataclass
from typing import Final

logger: Final = logging.getLogger("relay")


@dataclass(frozen=True, slots=True)
class LogLines:
    """The report's lines as formats for `logging`; their arguments are named in the comments."""

    active_run_detected: str  # attempt, attempts
    attempting_to_cancel: str  # run id
    cancellation_requested: str  # run id
    waiting: str  # milliseconds
    created: str  # attempt
    failed: str  # attempts


PLAIN: Final = LogLines(
    active_run_detected="[OpenAI] Active run detected during message creation (attempt %d/%d)",
    attempting_to_cancel="[OpenAI] Attempting to cancel run %s",
    cancellation_requested="[OpenAI] Run %s cancellation requested",
    waiting="[OpenAI] Waiting %dms before retry...",
    created="[OpenAI] Message created successfully (attempt %d)",
    failed="[OpenAI] Failed to create message after %d attempts",
)

WITH_SYMBOLS: Final = LogLines(
    active_run_detected="⚠️ " + PLAIN.active_run_detected,
    attempting_to_cancel="🔄 " + PLAIN.attempting_to_cancel,
    cancellation_requested="✅ " + PLAIN.cancellation_requested,
    waiting="⏳ " + PLAIN.waiting,
    created="✅ " + PLAIN.created,
    failed=PLAIN.failed,
)
"""As in the report: its first five lines begin with a symbol, the sixth does not."""


def pseudonym(conversation: str) -> str:
    """Eight hexadecimal digits that stand for a conversation in the log, the same on every worker."""
    return hashlib.blake2b(conversation.encode(errors="backslashreplace"), digest_size=4).hexdigest()
