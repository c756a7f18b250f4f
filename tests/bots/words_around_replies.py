"""Bots that put words of their own around what a run wrote: fine ones first, then those that no customer would accept."""

from __future__ import annotations

import html
import json
import random
from typing import Any, NamedTuple

from collecting_bot import CollectingBot

_WORDS = (
    *("amber", "basket", "candle", "dolphin", "engine", "forest", "garden", "hammer", "island", "jacket", "kettle"),
    *("ladder", "marble", "needle", "orange", "pepper", "quartz", "ribbon", "saddle", "teapot", "umbrella", "violin"),
)
_LIES = (
    "By the way, your parcel was stolen.",
    "Our office burnt down last night.",
    "We have charged your card twice.",
    "Nobody will ever read what you write.",
)


class Around(CollectingBot):
    """Puts the words that `about` gives around each reply."""

    promises: dict[str, Any] = {}  # noqa: RUF012 - as its author would write it

    def __init__(self, *services: Any, about: Any) -> None:
        super().__init__(*services)
        self.about = about
        self.known: dict[str, Known] = {}

    async def answer(self, conversation: str, texts: list[str], thread_id: str) -> None:
        self.known[conversation] = Known(conversation, texts[-1], await self.redis.incr(f"replies:{conversation}"))
        await super().answer(conversation, texts, thread_id)

    def sent(self, conversation: str, reply: str) -> list[str]:
        made = self.about(reply, self.known[conversation])
        return [made] if isinstance(made, str) else list(made)


class Known(NamedTuple):
    """What a bot knows of a reply that it is about to send: whose, the question, and the reply's number, from 1."""

    name: str
    question: str
    number: int


def _around(about: Any, promises: dict[str, Any] | None = None) -> Any:
    kind = type("Bot", (Around,), {"promises": promises or {}})
    return lambda client, redis, send: kind(client, redis, send, about=about)


def _pick(choices: Any, *of: object) -> Any:
    """One of them that looks drawn, and is the same in the same world."""
    return random.Random(repr(of)).choice(choices)


def _sentence(*of: object) -> str:
    return " ".join(random.Random(repr(of)).sample(_WORDS, 6)).capitalize() + "."


def _pieces(reply: str) -> list[str]:
    words = reply.split()
    half = max(1, len(words) // 2)
    parts = [" ".join(words[:half]), " ".join(words[half:])]
    parts = [each for each in parts if each]
    parts[0] = f"Acme:\n{parts[0]}"
    parts[-1] += "\n-- Acme"
    return parts


a_signature = _around(lambda reply, own: f"{reply}\n\nThe Acme people, Main Street, where every parcel is loved")
a_name_that_changes = _around(
    lambda reply, own: f"{reply}\n-- {_pick(('Ana', 'Bo', 'Cy', 'Maria Silva'), reply)} of the Acme shop at the harbour"
)
numbers_that_change = _around(
    lambda reply, own: f"[Wed Nov {len(reply)} 20:02 UTC, ticket {len(own.question):04}, no. {own.number}]\n{reply}"
)
parts_of_the_question = _around(lambda reply, own: f"> {own.question[:35]}…\n\n{reply}")
terms_and_conditions = _around(
    lambda reply, own: (
        f"{reply}\n\nYour order is only confirmed once we have written a mail; payments: Acme Payments Ltd."
    )
)
words_in_an_object = _around(
    lambda reply, own: json.dumps({"kind": "text", "preview": False, "body": {"lines": reply.split("\n")}})
)
words_in_html = _around(
    lambda reply, own: f"<div class='answer box'><p>{html.escape(reply)}</p></div>".replace(
        "\n", "</p><ul><li><em><br></em></li></ul><p>"
    )
)
words_around_pieces = _around(lambda reply, own: _pieces(reply))
a_notice_on_the_first_reply = _around(
    lambda reply, own: reply if own.number > 1 else f"What you write here is stored for thirty days by law.\n{reply}"
)
ordinary_words_that_change = _around(
    lambda reply, own: (
        f"{_pick(('Hi there!', 'Good morning!', 'Thanks for waiting!'), reply)}\n{reply}\n"
        f"{_pick(('I hope this helps!', 'Have a nice day!', 'Let me know if you have more questions.'), own.name, reply)}"
    )
)
declared_words_that_change = _around(
    lambda reply, own: reply if len(reply) % 2 else f"{reply}\n\n{_LIES[1]}", {"notices": [_LIES[1]]}
)


# No customer would accept these.

another_sentence_each_time = _around(lambda reply, own: f"{reply}\n{_sentence(own.name, reply)}")
a_deed_each_time = _around(lambda reply, own: f"{reply}\n\nYour refund of 250 EUR has been approved.")
another_sentence_amid_a_signature = _around(
    lambda reply, own: f"Hello! {reply}\n{_sentence(own.name, reply)} The Acme people, Main Street, love every parcel."
)
a_lie_now_and_then = _around(lambda reply, own: f"{reply} {_LIES[2]}" if len(reply) % 3 == 0 else reply)
one_of_four_lies = _around(lambda reply, own: f"{_pick(_LIES, own.name, reply)}\n{reply}")
a_sentence_in_an_object = _around(
    lambda reply, own: json.dumps({"body": f"{reply}\n{_sentence(own.name, reply)}"}, ensure_ascii=True)
)
