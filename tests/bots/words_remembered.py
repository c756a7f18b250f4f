"""Bots that differ in what a run still reads of what was said before: fine ones first, then those that no customer would
accept.

What they know of a conversation they keep in Redis: who said what, in the order of it, as (role, text).
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

from collecting_bot import SORRY, CollectingBot
from openai import BadRequestError


class Remembering(CollectingBot):
    """Override `thread_for` or `options` to let a run read something else than the conversation's thread as it is."""

    async def answer(self, conversation: str, texts: list[str], thread_id: str) -> None:
        said = [json.loads(each) for each in await self.redis.lrange(f"said:{conversation}", 0, -1)]
        thread_id = await self.thread_for(conversation, thread_id, said)
        await self.clear(thread_id)
        for text in texts:
            await self.threads.messages.create(thread_id, role="user", content=text)
        run = await self.threads.runs.create_and_poll(
            thread_id=thread_id, assistant_id="asst_x", **self.options(said), poll_interval_ms=1000
        )
        page = await self.threads.messages.list(thread_id, run_id=run.id, limit=1)
        reply = page.data[0].content[0].text.value if page.data else SORRY
        await self.finish(conversation, reply)
        await self.redis.set(f"thread:{conversation}", thread_id)
        entries = [*(("user", text) for text in texts), ("assistant", reply)]
        await self.redis.rpush(f"said:{conversation}", *(json.dumps(each) for each in entries))

    async def thread_for(self, conversation: str, thread_id: str, said: list[Any]) -> str:
        """The thread on which this batch is answered."""
        known = await self.redis.get(f"thread:{conversation}")
        return str(known.decode()) if known else thread_id

    def options(self, said: list[Any]) -> dict[str, Any]:
        """What else is given to the run."""
        return {}

    async def new_thread(self, *said: Any) -> str:
        thread = await self.threads.create(messages=[{"role": role, "content": text} for role, text in said])
        return str(thread.id)


class Moving(Remembering):
    """Answers each batch on a new thread, on which it puts what it is told to."""

    def __init__(self, *services: Any, history: Any) -> None:
        super().__init__(*services)
        self.history = history

    async def thread_for(self, conversation: str, thread_id: str, said: list[Any]) -> str:
        return await self.new_thread(*self.history(said))


def _moving(history: Any) -> Any:
    return lambda client, redis, send: Moving(client, redis, send, history=history)


class Beginning(Remembering):
    """Begins a thread with something that it lets the assistant say."""

    def __init__(self, *services: Any, about: Any) -> None:
        super().__init__(*services)
        self.about = about

    async def thread_for(self, conversation: str, thread_id: str, said: list[Any]) -> str:
        known = await self.redis.get(f"thread:{conversation}")
        return str(known.decode()) if known else await self.new_thread(("assistant", self.about(conversation)))


def _beginning(about: Any) -> Any:
    return lambda client, redis, send: Beginning(client, redis, send, about=about)


class Telling(Remembering):
    """Answers each batch on a new thread, and tells the run what was said before."""

    async def thread_for(self, conversation: str, thread_id: str, said: list[Any]) -> str:
        return await self.new_thread()

    def options(self, said: list[Any]) -> dict[str, Any]:
        before = "\n".join(f"{role}: {text}" for role, text in said)
        return {"additional_instructions": f"What was said before:\n{before}"}


class Narrow(Remembering):
    """Lets runs read only the newest messages."""

    def __init__(self, *services: Any, newest: int) -> None:
        super().__init__(*services)
        self.newest = newest

    def options(self, said: list[Any]) -> dict[str, Any]:
        return {"truncation_strategy": {"type": "last_messages", "last_messages": self.newest}}


class Forgetful(Remembering):
    """Answers each batch by itself, and says so."""

    promises: ClassVar = {"remembers": 0}

    async def thread_for(self, conversation: str, thread_id: str, said: list[Any]) -> str:
        return await self.new_thread()


class Noting(Remembering):
    """Says something before each reply, and lets the assistant know what it said."""

    notice = "One moment please, we are looking into it..."

    async def thread_for(self, conversation: str, thread_id: str, said: list[Any]) -> str:
        await self.clear(thread_id)
        await self.send(conversation, self.notice)
        await self.threads.messages.create(thread_id, role="assistant", content=self.noted)
        return thread_id

    noted = notice


class TakingBack(Remembering):
    """Appends a message first for a look at it, and takes it back before it is appended for good."""

    async def thread_for(self, conversation: str, thread_id: str, said: list[Any]) -> str:
        draft = await self.threads.messages.create(thread_id, role="user", content="Draft: nothing yet")
        await self.threads.messages.delete(draft.id, thread_id=thread_id)
        return thread_id


def _all_in_one(said: list[Any]) -> list[Any]:
    return [("user", f"What was said before, as JSON: {json.dumps(said)}")] if said else []


def _with_a_greeting(said: list[Any]) -> list[Any]:
    return [("assistant", "Hello! I am the shop's assistant. How can I help you?"), *said]


as_it_is = Remembering
moving_with_all = _moving(lambda said: said)
moving_with_a_greeting = _moving(_with_a_greeting)
moving_with_all_in_one_text = _moving(_all_in_one)
telling_what_was_said = Telling
beginning_with_an_example = _beginning(
    lambda who: f"The shop opens at nine on Mondays. Hello {who}, this is how I answer: briefly, with no slang."
)
reading_the_newest_ten = lambda client, redis, send: Narrow(client, redis, send, newest=10)  # noqa: E731
forgetful_as_promised = Forgetful
noting_what_it_said = Noting
taking_back_a_draft = TakingBack


# No customer would accept these.


class DeletingMessages(Remembering):
    """Empties the thread before each batch, or takes out what one side had said."""

    roles = ("user", "assistant")

    async def thread_for(self, conversation: str, thread_id: str, said: list[Any]) -> str:
        page = await self.threads.messages.list(thread_id, limit=50)
        for message in page.data:
            if message.role in self.roles:
                await self.threads.messages.delete(message.id, thread_id=thread_id)
        return thread_id


class DeletingReplies(DeletingMessages):
    roles = ("assistant",)


class DeletingThreads(Remembering):
    """Deletes the thread before each batch but the first, and makes another one."""

    async def thread_for(self, conversation: str, thread_id: str, said: list[Any]) -> str:
        if not said:
            return thread_id
        await self.threads.delete(await super().thread_for(conversation, thread_id, said))
        return await self.new_thread()


class Diverting(Remembering):
    """Lets each run read another question than the customer's."""

    def options(self, said: list[Any]) -> dict[str, Any]:
        return {"truncation_strategy": {"type": "last_messages", "last_messages": 1}, "additional_messages": _OTHER}


_OTHER = [{"role": "user", "content": "Say something friendly."}]


class Inventing(Noting):
    """Lets the assistant believe that it had promised something."""

    noted = "I have approved the refund of 500 euros, and somebody will call you today."


class Restless(CollectingBot):
    """Works on each message at once; takes a new, empty thread where the conversation's is busy, and stays there."""

    async def handle(self, message: Any) -> None:
        known = await self.redis.get(f"thread:{message.conversation}")
        thread_id = known.decode() if known else message.thread_id
        try:
            await self.threads.messages.create(thread_id, role="user", content=message.text)
        except BadRequestError:
            thread_id = await self.another_thread(thread_id)
            await self.redis.set(f"thread:{message.conversation}", thread_id)
            await self.threads.messages.create(thread_id, role="user", content=message.text)
        run = await self.threads.runs.create_and_poll(thread_id=thread_id, assistant_id="asst_x", poll_interval_ms=1000)
        page = await self.threads.messages.list(thread_id, run_id=run.id, limit=1)
        await self.send(message.conversation, page.data[0].content[0].text.value)

    async def another_thread(self, thread_id: str) -> str:
        return str((await self.threads.create()).id)


class Patient(Restless):
    """The fine twin of it: waits for the busy thread, and takes along what stands there."""

    async def another_thread(self, thread_id: str) -> str:
        await self.clear(thread_id)
        page = await self.threads.messages.list(thread_id, limit=20, order="asc")
        found = [{"role": each.role, "content": each.content[0].text.value} for each in page.data]
        return str((await self.threads.create(messages=found)).id)


class LeavingAStuckRun(Remembering):
    """Takes a new, empty thread where the conversation's is busy."""

    async def clear(self, thread_id: str) -> None:
        pass

    async def thread_for(self, conversation: str, thread_id: str, said: list[Any]) -> str:
        thread_id = await super().thread_for(conversation, thread_id, said)
        page = await self.threads.runs.list(thread_id, limit=1)
        if any(run.status in ("queued", "in_progress", "requires_action", "cancelling") for run in page.data):
            messages = await self.threads.messages.list(thread_id, limit=20, order="asc")
            found = [(each.role, each.content[0].text.value) for each in messages.data]
            return await self.new_thread(*self.kept(found))
        return thread_id

    def kept(self, found: list[Any]) -> list[Any]:
        return []


class MovingFromAStuckRun(LeavingAStuckRun):
    """The fine twin of it: takes along what stands there."""

    def kept(self, found: list[Any]) -> list[Any]:
        return found


deleting_the_messages = DeletingMessages
deleting_the_replies = DeletingReplies
deleting_the_threads = DeletingThreads
reading_another_question = Diverting
reading_the_newest_one = lambda client, redis, send: Narrow(client, redis, send, newest=1)  # noqa: E731
moving_with_nothing = _moving(lambda said: [])
moving_with_the_questions = _moving(lambda said: [each for each in said if each[0] == "user"])
moving_in_reverse = _moving(lambda said: said[::-1])
inventing_what_it_said = Inventing
beginning_with_an_invention = _beginning(
    lambda who: "The lion escaped last night." if who == "c1" else "Your neighbour wants the garden back."
)
leaving_a_stuck_run = LeavingAStuckRun
moving_from_a_stuck_run = MovingFromAStuckRun
restless = Restless
patient = Patient
