"""How a turn on Responses ends for the customer, whichever policy takes it."""

from dataclasses import dataclass
from typing import Any, Final

import openai
import redis.asyncio

from relaysim.relay.log_lines import logger, pseudonym
from relaysim.relay.messages import GENERIC_APOLOGY, Outcome
from relaysim.relay.threads_api import describe

LOCKED: Final = "conversation_locked"
"""The error's code, both with 400 (OpenAI) and with 409 (Foundry's hosted agents)."""

_ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})

Ending = tuple[Outcome, str]
"""How a handling ends, and the text that tells the customer."""


@dataclass(slots=True)
class Told:
    """What a handling reports besides its outcome."""

    attempts: int = 0
    waited_seconds: float = 0.0
    response_id: str | None = None


async def read_to_its_end(stream: Any) -> Any:
    """The response at a stream's end; None if the stream ended without the event that ends a response."""
    async with stream:
        async for event in stream:
            if event.type in _ENDS:
                return event.response
    return None


def ending_of(response: Any, told: Told) -> Ending:
    """How a handling ends with this response: its words, or the generic apology."""
    told.response_id = response.id
    if response.status == "completed" and response.output_text:
        return Outcome.ANSWERED, response.output_text
    logger.warning("[Relay] Response %s ended in %s", response.id, response.status)
    return Outcome.GENERIC_APOLOGY, GENERIC_APOLOGY


def ending_by(error: Exception, conversation: str) -> Ending:
    """How a handling ends with this error, which is logged, with its traceback if nobody expects it."""
    expected = isinstance(error, openai.APIError | redis.RedisError)
    logger.error(
        "[Relay] Handling failed in conversation %s: %s",
        pseudonym(conversation),
        describe(error),
        exc_info=None if expected else error,
    )
    return Outcome.GENERIC_APOLOGY, GENERIC_APOLOGY
