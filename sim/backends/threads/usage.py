"""Token usage of runs, estimated as `relaysim.sim.backends.tokens` says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from relaysim.sim.backends.tokens import TOKENS_PER_MESSAGE, tokens_of_text


def tokens_of_messages(messages: Iterable[Mapping[str, Any]]) -> int:
    """Estimated tokens of messages as a prompt; parts that are no text count as 85, what a small image is billed."""
    total = 0
    for message in messages:
        total += TOKENS_PER_MESSAGE
        for part in message["content"]:
            total += tokens_of_text(part["text"]["value"]) if part["type"] == "text" else 85
    return total


def usage_of(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    """A usage object as the API shows it."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }
