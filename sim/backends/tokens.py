"""Tokens: plausible and deterministic.

A token is taken to be four bytes of UTF-8, the rule of thumb for English text that the documentation of tokenizers gives; a
message costs four more for its frame. No tokenizer is run: nothing here claims to be what a model would have counted.
"""

from __future__ import annotations

from typing import Final

BYTES_PER_TOKEN: Final = 4
TOKENS_PER_MESSAGE: Final = 4


def tokens_of_text(text: str) -> int:
    """Estimated tokens of a text, at least 1 unless it is empty."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)
