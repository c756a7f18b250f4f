"""Bots that differ in what they send for a run's reply: fine ones first, then those that no customer would accept."""

from __future__ import annotations

import asyncio
import hashlib
import html
import json
import re
import textwrap
from typing import Any, NamedTuple

from collecting_bot import SORRY, CollectingBot
from openai import BadRequestError


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
cut_amid_words = _formatted(lambda reply: [reply[place : place + 50] for place in range(0, len(reply), 50)])
as_long_as_whatsapp_allows = _formatted(lambda reply: reply[:4096])


class Notifying(CollectingBot):
    """Says at once that it has begun, in words that might be an apology's."""

    notice = "One moment please..."

    async def answer(self, conversation: str, texts: list[str], thread_id: str) -> None:
        await self.send(conversation, self.notice)
        await super().answer(conversation, texts, thread_id)


class Sorry(Notifying):
    notice = "Sorry for the wait, one moment please. If something went wrong, just try again."


class Quoting(CollectingBot):
    """Adds what it knows to each reply: from the customer, from the one who wrote before, or of its own."""

    def __init__(self, *services: Any, about: Any) -> None:
        super().__init__(*services)
        self.about = about

    async def answer(self, conversation: str, texts: list[str], thread_id: str) -> None:
        self.before = await self.redis.getset("last", json.dumps([conversation, texts[0], thread_id]))
        self.now = texts[0]
        self.thread_id = thread_id
        await super().answer(conversation, texts, thread_id)

    def sent(self, conversation: str, reply: str) -> list[str]:
        before = json.loads(self.before) if self.before else ["", "", ""]
        return [self.about(self, reply, Known(conversation, self.now, self.thread_id), Known(*before))]


class Known(NamedTuple):
    """What a bot knows of a conversation."""

    name: str
    text: str
    thread_id: str

    @property
    def order(self) -> str:
        """The first long number in the text."""
        found = re.search(r"\d{6,}", self.text)
        return found[0] if found else "none"


def _quoting(about: Any) -> Any:
    def make(client: Any, redis: Any, send: Any) -> Quoting:
        return Quoting(client, redis, send, about=about)

    return make


with_a_notice = Notifying
with_a_sorry_notice = Sorry
with_the_customers_own_number = _quoting(lambda bot, reply, own, other: f"{reply}\n\nYour number: {own.name}")
with_the_customers_own_order = _quoting(lambda bot, reply, own, other: f"About order {own.order}:\n{reply}")
with_the_customers_own_question = _quoting(lambda bot, reply, own, other: f"> {own.text}\n\n{reply}")
with_a_ticket_number = _quoting(
    lambda bot, reply, own, other: f"{reply}\n\nTicket {hashlib.sha256(own.name.encode()).hexdigest()[:12]}"
)


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


class Echoing(CollectingBot):
    """Takes the newest message of the thread for its reply, when the customer may have written another one."""

    pause_seconds = 0.1

    async def finish(self, conversation: str, reply: str) -> None:
        waiting = await self.redis.lrange(f"waiting:{conversation}", -1, -1)
        await super().finish(conversation, json.loads(waiting[0])[2] if waiting else reply)


another_conversations_reply = Another
the_customers_last_words = Echoing
with_a_neighbours_reply = Neighbour
the_first_runs_reply = First
apologising_after_the_answer = Apologising
twice = _formatted(lambda reply: [reply, reply])
wrapped_in_error_text = _formatted(lambda reply: f"{_TRACEBACK * 150}\n{reply}")
with_a_short_traceback = _formatted(lambda reply: f"{reply}\n{_TRACEBACK}")
wrapped_in_much_text = _formatted(lambda reply: f"{reply}\n{'All rights reserved. ' * 200}")
pieces_in_reverse = _formatted(lambda reply: _numbered(reply)[::-1])
its_own_invention = _formatted(lambda reply: "Thank you for your message! We value your opinion.")
losing_a_letter_at_each_cut = _formatted(lambda reply: [reply[at : at + 49] for at in range(0, len(reply), 50)])
in_one_text_twice = _formatted(lambda reply: f"{reply}\n{reply}")
without_numbers = _formatted(lambda reply: re.sub(r"\d{4,}", "****", reply))


class AtOnce(CollectingBot):
    """Sends the pieces of a reply without waiting for one before the next."""

    async def finish(self, conversation: str, reply: str) -> None:
        await asyncio.gather(*(self.send(conversation, piece) for piece in textwrap.wrap(reply, 40)))


class Recounting(CollectingBot):
    """Sends all that was answered so far each time."""

    async def finish(self, conversation: str, reply: str) -> None:
        await self.redis.rpush(f"replies:{conversation}", reply)
        replies = await self.redis.lrange(f"replies:{conversation}", 0, -1)
        await super().finish(conversation, "\n".join(each.decode() for each in replies))


pieces_at_once = AtOnce
all_replies_so_far = Recounting
only_the_beginning = _formatted(lambda reply: reply[: len(reply) // 2])


class Misdirecting(CollectingBot):
    """Says something to another customer after each answer."""

    async def answer(self, conversation: str, texts: list[str], thread_id: str) -> None:
        await super().answer(conversation, texts, thread_id)
        await self.send("c1" if conversation != "c1" else "c2", "Hello! Your refund was approved by our team.")


a_notice_to_another_customer = Misdirecting


_CREDENTIAL = "sk-" + "0123456789abcdef" * 2
with_the_callers_number_before = _quoting(lambda bot, reply, own, other: f"{reply}\n\nYour number: {other.name}")
with_anothers_order = _quoting(lambda bot, reply, own, other: f"About order {other.order}:\n{reply}")
with_anothers_question = _quoting(lambda bot, reply, own, other: f"> {' '.join(other.text.split()[:12])}\n\n{reply}")
with_the_thread = _quoting(lambda bot, reply, own, other: f"{reply}\n\nReference {own.thread_id}")
with_a_threads_token = _quoting(lambda bot, reply, own, other: f"{reply}\n\nTicket {own.thread_id[7:]}")
in_reverse_letters = _formatted(lambda reply: f"\u202e{reply}")
with_the_key_of_the_api = _quoting(lambda bot, reply, own, other: f"{reply}\n\n[debug: {_CREDENTIAL}]")


class ShowingErrors(Notifying):
    """Tells the customer what the API said when it refused something."""

    async def answer(self, conversation: str, texts: list[str], thread_id: str) -> None:
        run = await self.threads.runs.create(thread_id, assistant_id="asst_x")
        try:
            await self.threads.messages.create(thread_id, role="user", content=texts[0])
        except BadRequestError as error:
            await self.send(conversation, f"One moment please ({error}).")
        while run.status not in ("completed", "failed", "cancelled", "expired", "incomplete"):
            await asyncio.sleep(1.0)
            run = await self.threads.runs.retrieve(run.id, thread_id=thread_id)
        await CollectingBot.answer(self, conversation, texts, thread_id)


with_what_the_api_said = ShowingErrors
