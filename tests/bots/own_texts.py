"""Bots that differ in what they write by themselves beside a run's reply: fine ones first, each with its twin below."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from collecting_bot import CollectingBot
from openai import BadRequestError


class Saying(CollectingBot):
    """Sends texts of its own before the run's answer and after it."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    after_seconds = 0.0
    promises: dict[str, Any] = {}  # noqa: RUF012 - as its author would write it

    async def answer(self, conversation: str, texts: list[str], thread_id: str) -> None:
        for text in self.before:
            await self.send(conversation, text)
        await super().answer(conversation, texts, thread_id)
        self.task = asyncio.create_task(self.go_on(conversation))

    async def go_on(self, conversation: str) -> None:
        for text in self.after:
            await asyncio.sleep(self.after_seconds)
            await self.send(conversation, text)


def _saying(**given: Any) -> Any:
    return lambda client, redis, send: type("Bot", (Saying,), given)(client, redis, send)


class Surrounding(CollectingBot):
    """Sends the reply with words of its own around it."""

    around = "{}"

    def sent(self, conversation: str, reply: str) -> list[str]:
        return [self.around.format(reply)]


def _surrounding(around: str, promises: dict[str, Any] | None = None) -> Any:
    given = {"around": around, "promises": promises or {}}
    return lambda client, redis, send: type("Bot", (Surrounding,), given)(client, redis, send)


CANCELLED = "Your order has been cancelled."
STILL_THERE = "Are you still there?"
ENDED = "This chat was closed after an hour without a message."

a_greeting_and_a_moment = _saying(before=("Hello! How can I help you today?", "One moment please ...", "Typing…"))
in_portuguese = _saying(before=("Olá! Recebi sua mensagem e já vou verificar. Aguarde um momento, por favor.",))
five_notices = _saying(before=("One moment please ...",) * 5)
asking_at_once = _saying(after=("Is there anything else?",), after_seconds=20.0)
a_declared_text = _saying(before=(CANCELLED,), promises={"notices": [CANCELLED]})
a_declared_end = _saying(after=(ENDED,), after_seconds=3600.0, promises={"notices": [ENDED]})
an_ordinary_apology = _saying(before=("Sorry for the wait: something went wrong here, and we are trying again.",))

with_ordinary_words_around = _surrounding(
    "Hello!\n{}\nNone of us is a machine; ask my nan, all or None. Nan and the team"
)
with_a_declared_value_around = _surrounding("{}\nWrite None: no more mail", {"notices": ["Write None: no more mail"]})


class Refused(CollectingBot):
    """Appends while a run is active on the thread, tells the customer of the refusal, and waits for the run's end."""

    async def clear(self, thread_id: str) -> None:
        pass

    async def answer(self, conversation: str, texts: list[str], thread_id: str) -> None:
        run = await self.threads.runs.create(thread_id, assistant_id="asst_x")
        try:
            await self.threads.messages.create(thread_id, role="user", content=texts[0])
        except BadRequestError as error:
            await self.send(conversation, self.words(error))
        while run.status not in ("completed", "failed", "cancelled", "expired", "incomplete"):
            await asyncio.sleep(1.0)
            run = await self.threads.runs.retrieve(run.id, thread_id=thread_id)
        await super().answer(conversation, texts, thread_id)

    def words(self, error: BadRequestError) -> str:
        return "Something went wrong, and we are trying again."


a_refusal_in_ordinary_words = Refused

# No customer would accept these.

sixty_notices = _saying(before=("One moment please ...",) * 60)
sixty_declared_notices = _saying(before=("Please hold.",) * 60, promises={"notices": ["Please hold."]})
nagging_each_hour = _saying(after=(STILL_THERE,) * 3, after_seconds=1800.0)
a_raw_error = _saying(before=("BadRequestError: Error code: 400 - {'error': {'message': 'no', 'type': 'invalid'}}",))
a_failed_connection = _saying(before=("Connection error.",))
an_error_of_redis = _saying(before=("Sorry! redis.exceptions.TimeoutError: Timeout reading from cache:6379",))
an_error_in_an_apology = _saying(before=("Sorry, something went wrong (KeyError: 'data'). We are trying again.",))
an_error_as_json = _saying(before=(json.dumps({"text": json.dumps({"error": {"message": "Slow down"}})}),))
an_error_after_the_answer = _saying(after=("Error code: 429",))

an_empty_value = _saying(before=("None",))
with_an_unfilled_template_around = _surrounding("Good day %(name)s!\n{}")
with_an_empty_value_around = _surrounding("None: undefined [object Object]\n{}")
with_an_empty_value_amid_a_sentence = _surrounding("We have found this about your order None:\n{}")
with_no_number_amid_a_sentence = _surrounding("{}\nWe were nan minutes late this time, your friends at the shop.")
with_an_empty_place_amid_a_sentence = _surrounding("Good news, {{first_name}}, we have found this:\n{}")
in_an_object = _surrounding("TextContentBlock(text=Text(annotations=[], value={!r}), type='text')")


class RefusedInItsWords(Refused):
    def words(self, error: BadRequestError) -> str:
        return f"We will try again, since {error.body['message']!r} came back." if isinstance(error.body, dict) else ""


a_refusal_in_the_apis_words = RefusedInItsWords

# What nobody but their authors can vouch for.

text_only = _saying(before=("Sorry, I can read text only, please do not send voice messages.",))

a_cancelled_order = _saying(before=(CANCELLED,))
a_refund_behind_a_greeting = _saying(before=("Hello! Your refund of 50 EUR was approved by our team.",))
a_declared_text_and_more = _saying(
    before=(f"One moment please. {CANCELLED}",), promises={"notices": ["One moment please"]}
)


class Scrambled(CollectingBot):
    """Sends the words of the reply in another order, sorted by their letters."""

    def sent(self, conversation: str, reply: str) -> list[str]:
        return [" ".join(sorted(reply.split()))]


class ScrambledAfterwards(Scrambled):
    def sent(self, conversation: str, reply: str) -> list[str]:
        return [reply, *super().sent(conversation, reply)]


a_scrambled_answer = Scrambled
a_scrambled_answer_after_the_answer = ScrambledAfterwards


class Quoting(CollectingBot):
    """Begins with what the customer wrote, apologies included, and says that it is at work."""

    def __init__(self, *services: Any) -> None:
        super().__init__(*services)
        self.said: dict[str, str] = {}

    async def handle(self, message: Any) -> None:
        await self.send(message.conversation, f"“{message.text}”\n\nOne moment please.")
        await super().handle(message)


quoting_the_customer = Quoting
