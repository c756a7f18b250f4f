"""Bots that differ in what they send for a run's reply: fine ones first, then those that no customer would accept."""

from __future__ import annotations

import html
import re
import textwrap
from typing import Any

from collecting_bot import SORRY, CollectingBot


class Formatted(CollectingBot):
    """Sends each reply in a form of its own, perhaps as several texts."""

    def __init__(self, *services: Any, form: Any) -> None:
        super().__init__(*services)
        self.form = form

    def sent(self, conversation: str, reply: str) -> list[str]:
        made = self.form(reply)
        return [made] if isinstance(made, str) else list(made)


def _formatted(form: Any) -> Any:
    return lambda client, redis, send: Formatted(client, redis, send, form=form)


def _numbered(reply: str) -> list[str]:
    words = reply.split()
    parts = [words[: len(words) // 2], words[len(words) // 2 :]]
    return [f"({number}/2) {' '.join(part)}" for number, part in enumerate(parts, 1) if part]


as_it_is = _formatted(str)
with_a_greeting = _formatted(
    lambda reply: f"Hello! {reply}\n\n-- Your support team. This answer was written by a machine."
)
as_markdown = _formatted(lambda reply: re.sub(r"([\\`*_{}\[\]()#+.!|<>~-])", r"\\\1", reply))
as_html = _formatted(lambda reply: f"<p>{html.escape(reply)}</p>".replace("\n", "<br>"))
wrapped = _formatted(lambda reply: textwrap.fill(reply, 40))
in_pieces = _formatted(_numbered)
as_long_as_whatsapp_allows = _formatted(lambda reply: reply[:4096])


class Notifying(CollectingBot):
    """Says at once that it has begun, in words that might be an apology's."""

    notice = "One moment please..."

    async def answer(self, conversation: str, texts: list[str], thread_id: str) -> None:
        await self.send(conversation, self.notice)
        await super().answer(conversation, texts, thread_id)


class Sorry(Notifying):
    notice = "Sorry for the wait, one moment please. If something went wrong, just try again."


with_a_notice = Notifying
with_a_sorry_notice = Sorry


# No customer would accept these.

_TRACEBACK = 'Traceback (most recent call last):\n  File "/app/bot.py", line 17, in answer\n'


class Another(CollectingBot):
    """Sends what was last answered to whomever."""

    async def finish(self, conversation: str, reply: str) -> None:
        before = await self.redis.getset("reply", reply)
        await super().finish(conversation, reply if before is None else before.decode())


class Neighbour(CollectingBot):
    """Adds what somebody else was told."""

    async def finish(self, conversation: str, reply: str) -> None:
        await self.redis.hset("replies", conversation, reply)
        told = await self.redis.hgetall("replies")
        others = [each.decode() for name, each in told.items() if name.decode() != conversation]
        await super().finish(conversation, "\n".join([*others, reply]))


class First(CollectingBot):
    """Sends the first reply of the conversation again and again."""

    async def finish(self, conversation: str, reply: str) -> None:
        await self.redis.hsetnx("replies", conversation, reply)
        first = await self.redis.hget("replies", conversation)
        await super().finish(conversation, first.decode())


class Apologising(CollectingBot):
    """Apologises, in words of its own, after each answer."""

    def sent(self, conversation: str, reply: str) -> list[str]:
        return [reply, SORRY]


another_conversations_reply = Another
with_a_neighbours_reply = Neighbour
the_first_runs_reply = First
apologising_after_the_answer = Apologising
twice = _formatted(lambda reply: [reply, reply])
wrapped_in_error_text = _formatted(lambda reply: f"{_TRACEBACK * 150}\n{reply}")
with_a_short_traceback = _formatted(lambda reply: f"{reply}\n{_TRACEBACK}")
wrapped_in_much_text = _formatted(lambda reply: f"{reply}\n{'All rights reserved. ' * 200}")
its_own_invention = _formatted(lambda reply: "Thank you for your message! We value your opinion.")
only_the_beginning = _formatted(lambda reply: reply[: len(reply) // 2])


class Misdirecting(CollectingBot):
    """Says something to another customer after each answer."""

    async def answer(self, conversation: str, texts: list[str], thread_id: str) -> None:
        await super().answer(conversation, texts, thread_id)
        await self.send("c1" if conversation != "c1" else "c2", "Hello! Your refund was approved by our team.")


a_notice_to_another_customer = Misdirecting
