"""Token usage: plausible and deterministic.

A token is taken to be four bytes of UTF-8, the rule of thumb for English text that the documentation of tokenizers gives; a
message costs four more for its frame. No tokenizer is run: nothing here claims to be what a model would have counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

BYTES_PER_TOKEN: Final = 4
TOKENS_PER_MESSAGE: Final = 4


def tokens_of_text(text: str) -> int:
    """Estimated tokens of a text, at least 1 unless it is empty."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


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
