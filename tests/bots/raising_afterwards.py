"""Bots whose `handle` raises although the answer is out, and a twin that catches it."""

from __future__ import annotations

from collecting_bot import CollectingBot


class Raising(CollectingBot):
    """Writes a line of statistics after each answer, for which something is missing."""

    async def answer(self, conversation: str, texts: list[str], thread_id: str) -> None:
        await super().answer(conversation, texts, thread_id)
        self.note({"texts": len(texts)})

    def note(self, statistics: dict[str, int]) -> int:
        return statistics["tokens"]


class Catching(Raising):
    def note(self, statistics: dict[str, int]) -> int:
        try:
            return super().note(statistics)
        except KeyError:
            return 0


raising = Raising
catching = Catching
