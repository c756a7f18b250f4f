"""Bots that read a run as a stream, and send what it writes while it is still writing; fine ones first."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from collecting_bot import SORRY, CollectingBot

PIECE_WORDS = 6


class Streaming(CollectingBot):
    """Sends six words at a time, as soon as they are there, and what is left at the end."""

    async def answer(self, conversation: str, texts: list[str], thread_id: str) -> None:
        await self.clear(thread_id)
        for text in texts:
            await self.threads.messages.create(thread_id, role="user", content=text)
        left = ""
        async for piece in self.deltas(thread_id):
            left += piece
            while left.count(" ") > PIECE_WORDS:
                words = left.split(" ")
                left = " ".join(words[PIECE_WORDS:])
                await self.say(conversation, " ".join(words[:PIECE_WORDS]))
        await self.end(conversation, left)

    async def deltas(self, thread_id: str) -> AsyncIterator[str]:
        async with self.threads.runs.stream(thread_id=thread_id, assistant_id="asst_x") as stream:
            async for piece in stream.text_deltas:
                yield piece

    async def say(self, conversation: str, piece: str) -> None:
        await self.send(conversation, piece)

    async def end(self, conversation: str, left: str) -> None:
        if left.strip():
            await self.say(conversation, left)


class Halves(Streaming):
    """Sends what has come so far once it is long enough, wherever that cuts, and the rest at the end."""

    async def answer(self, conversation: str, texts: list[str], thread_id: str) -> None:
        await self.clear(thread_id)
        for text in texts:
            await self.threads.messages.create(thread_id, role="user", content=text)
        read, said = "", 0
        async for piece in self.deltas(thread_id):
            read += piece
            if not said and len(read) > 40:
                said = 40
                await self.say(conversation, read[:said])
        await self.end(conversation, read[said:])


class Forgetful(Streaming):
    """Never sends what is left at the end."""

    async def end(self, conversation: str, left: str) -> None:
        """Nothing."""


class Misdirected(Streaming):
    """Sends its pieces to another customer."""

    async def say(self, conversation: str, piece: str) -> None:
        await self.send("c1" if conversation != "c1" else "c2", piece)


class Repeating(Streaming):
    """Sends the whole reply once more at its end."""

    def __init__(self, *services: Any) -> None:
        super().__init__(*services)
        self._said: list[str] = []

    async def say(self, conversation: str, piece: str) -> None:
        self._said.append(piece)
        await super().say(conversation, piece)

    async def end(self, conversation: str, left: str) -> None:
        await super().end(conversation, left)
        whole, self._said = " ".join(self._said), []
        await self.send(conversation, whole)


class Inventing(Streaming):
    """Puts words of its own amid the run's."""

    async def say(self, conversation: str, piece: str) -> None:
        words = piece.split(" ")
        await super().say(conversation, " ".join([*words[:2], "nevertheless perhaps otherwise", *words[3:]]))


class Losing(Streaming):
    """Loses every third piece."""

    def __init__(self, *services: Any) -> None:
        super().__init__(*services)
        self._pieces = 0

    async def say(self, conversation: str, piece: str) -> None:
        self._pieces += 1
        if self._pieces % 3:
            await super().say(conversation, piece)


class Apologising(Streaming):
    """Asks to be excused once all has been said."""

    async def end(self, conversation: str, left: str) -> None:
        await super().end(conversation, left)
        await self.send(conversation, SORRY)


six_words_at_a_time = Streaming
in_two_halves = Halves
without_the_rest = Forgetful
to_another_customer = Misdirected
the_whole_once_more = Repeating
words_of_its_own_amid = Inventing
without_every_third = Losing
an_apology_at_the_end = Apologising
