"""Bots that say that something failed, and answer all the same: one that then tries again, and one that had the answer."""

from __future__ import annotations

from typing import Any

from collecting_bot import CollectingBot

_FAILED = "Sorry, an error occurred while processing your message. Please try again."
_AGAIN = "Sorry, something went wrong on our side; we are trying once more."


class SorryBefore(CollectingBot):
    """Says that something failed, with the answer in its hand."""

    def sent(self, conversation: str, reply: str) -> list[str]:
        return [_FAILED, reply]


class TriesAgain(CollectingBot):
    """Says that something failed when it did, and then asks again."""

    async def answer(self, conversation: str, texts: list[str], thread_id: str) -> None:
        await self.threads.runs.list(thread_id, limit=1)
        await self.send(conversation, _AGAIN)
        await super().answer(conversation, texts, thread_id)


def sorry_before(client: Any, redis: Any, send: Any) -> SorryBefore:
    """Each customer is told of a failure that there was not."""
    return SorryBefore(client, redis, send)


def tries_again(client: Any, redis: Any, send: Any) -> TriesAgain:
    """Its twin: what it says is followed by another attempt."""
    return TriesAgain(client, redis, send)
