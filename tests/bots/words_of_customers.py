"""Bots that differ in what they pass on of a customer's words: fine ones first, then those that no customer would accept."""

from __future__ import annotations

import html
import json
import re
import textwrap
import unicodedata
from typing import Any

from collecting_bot import CollectingBot


class Formatted(CollectingBot):
    """Passes each text on in a form of its own."""

    def __init__(self, *services: Any, form: Any) -> None:
        super().__init__(*services)
        self.form = form

    def passed_on(self, conversation: str, texts: list[str]) -> list[str]:
        return [self.form(text) for text in texts]


def _formatted(form: Any) -> Any:
    return lambda client, redis, send: Formatted(client, redis, send, form=form)


as_it_is = _formatted(str)
prefixed = _formatted(lambda text: f"Customer says: {text}\n(answer in one sentence)")
as_json = _formatted(lambda text: json.dumps({"channel": "chat", "text": text}))
as_markdown = _formatted(lambda text: re.sub(r"([\\`*_{}\[\]()#+.!|<>~-])", r"\\\1", text))
as_html = _formatted(lambda text: f"<p>{html.escape(text)}</p>")
quoted_lines = _formatted(lambda text: "".join(f"> {line}\n" for line in text.splitlines()))
wrapped = _formatted(lambda text: textwrap.fill(text, 80))
on_one_line = _formatted(lambda text: " ".join(text.split()))
composed_and_stripped = _formatted(
    lambda text: unicodedata.normalize("NFC", unicodedata.normalize("NFD", text)).strip()
)
with_its_first_words_as_title = _formatted(lambda text: f"{' '.join(text.split()[:2])}\n\n{text}")


class Batched(CollectingBot):
    """Passes what was collected on in one text, or in other ones."""

    def __init__(self, *services: Any, form: Any) -> None:
        super().__init__(*services)
        self.form = form

    def passed_on(self, conversation: str, texts: list[str]) -> list[str]:
        return self.form(texts)


def _batched(form: Any) -> Any:
    return lambda client, redis, send: Batched(client, redis, send, form=form)


batch_joined = _batched(lambda texts: ["\n".join(texts)])
batch_as_json = _batched(lambda texts: [json.dumps({"messages": texts})])
with_instructions_beside = _batched(lambda texts: ["The customer has waited for an hour.", *texts])


class Remembering(CollectingBot):
    """Puts what was said before in front of each new text."""

    def __init__(self, *services: Any) -> None:
        super().__init__(*services)
        self.said: dict[str, list[str]] = {}

    def passed_on(self, conversation: str, texts: list[str]) -> list[str]:
        said = self.said.setdefault(conversation, [])
        made = []
        for text in texts:
            made.append(f"Before: {said!r}\nNow: {text}")
            said.append(text)
        return made


class OwnThreads(CollectingBot):
    """Has a table of threads, and none of those that were prepared."""

    async def thread_of(self, conversation: str, thread_id: str) -> str:
        known = await self.redis.get(f"thread:{conversation}")
        if known is None:
            known = (await self.threads.create()).id.encode()
            await self.redis.set(f"thread:{conversation}", known)
        return str(known.decode())


class Moving(CollectingBot):
    """Answers each batch on a new thread, which begins with what was said before."""

    async def thread_of(self, conversation: str, thread_id: str) -> str:
        known = await self.redis.get(f"thread:{conversation}")
        messages = []
        if known is not None:
            page = await self.threads.messages.list(known.decode(), limit=20)  # the newest, and those first
            messages = [{"role": each.role, "content": each.content[0].text.value} for each in reversed(page.data)]
        thread = await self.threads.create(messages=messages)
        await self.redis.set(f"thread:{conversation}", thread.id)
        return str(thread.id)


with_what_was_said_before = Remembering
on_a_thread_of_its_own = OwnThreads
on_a_new_thread_with_the_history = Moving


# No customer would accept these.


class Elsewhere(CollectingBot):
    """Writes every customer's words into all threads that it knows."""

    async def answer(self, conversation: str, texts: list[str], thread_id: str) -> None:
        await self.redis.sadd("threads", thread_id)
        for each in sorted(await self.redis.smembers("threads")):
            if each.decode() != thread_id:
                await self.clear(each.decode())
                await self.threads.messages.create(each.decode(), role="user", content=texts[0])
        await super().answer(conversation, texts, thread_id)


class Joined(CollectingBot):
    """Passes on what the others have just written, too."""

    async def answer(self, conversation: str, texts: list[str], thread_id: str) -> None:
        await self.redis.rpush("recent", *texts)
        recent = [each.decode() for each in await self.redis.lrange("recent", -6, -1)]
        await super().answer(conversation, ["\n".join(recent)], thread_id)


class OneThread(CollectingBot):
    """Has one thread for everybody."""

    async def thread_of(self, conversation: str, thread_id: str) -> str:
        await self.redis.set("thread", thread_id, nx=True)
        return str((await self.redis.get("thread")).decode())


class Reading(CollectingBot):
    """Looks at what is in the others' threads."""

    async def answer(self, conversation: str, texts: list[str], thread_id: str) -> None:
        await self.redis.sadd("threads", thread_id)
        for each in sorted(await self.redis.smembers("threads")):
            await self.threads.messages.list(each.decode(), limit=5)
        await super().answer(conversation, texts, thread_id)


class Unsorted(CollectingBot):
    """Takes the webhooks' order for the customer's, newest first, and answers one at a time."""

    async def answer(self, conversation: str, texts: list[str], thread_id: str) -> None:
        for text in reversed(texts):
            await super().answer(conversation, [text], thread_id)


into_another_thread = Elsewhere
joined_with_others_texts = Joined
one_thread_for_all = OneThread
reading_another_thread = Reading
newest_webhook_first = Unsorted
twice = _batched(lambda texts: [text for text in texts for _ in range(2)])
only_a_marker = _formatted(lambda text: "".join(re.findall(r"\[.*?\]", text)) or f"[{len(text)}]")
a_summary = _formatted(lambda text: f"The customer asks something in {len(text.split())} words.")
cut_off = _formatted(lambda text: text[: len(text) * 2 // 3])
last_of_the_batch = _batched(lambda texts: texts[-1:])
batch_reversed = _batched(lambda texts: texts[::-1])
batch_joined_reversed = _batched(lambda texts: ["\n".join(texts[::-1])])
in_capitals = _formatted(str.upper)
in_small_letters = _formatted(str.lower)
without_accents = _formatted(
    lambda text: "".join(each for each in unicodedata.normalize("NFD", text) if not unicodedata.combining(each))
)
without_signs = _formatted(lambda text: re.sub(r"[^\w\s]", "", text))
lines_run_together = _batched(lambda texts: ["".join("".join(texts).splitlines())])
twice_in_one_text = _formatted(lambda text: f"{text}\n{text}")


class IgnoringWhatWasSaid(CollectingBot):
    """Takes a text that its customer has written before for a redelivery."""

    async def handle(self, message: Any) -> None:
        key = f"said:{message.conversation}:{message.text}"
        before = await self.redis.set(key, message.id, nx=True, get=True)
        if before is None or before.decode() == message.id:
            await super().handle(message)


ignoring_what_was_said = IgnoringWhatWasSaid
