"""Two bots: one answers within its webhook, the other acknowledges first."""

import asyncio


class Within:
    def __init__(self, client, send):
        self.threads, self.send, self.tasks = client.beta.threads, send, set()

    async def handle(self, message):
        await self.threads.messages.create(message.thread_id, role="user", content=message.text)
        run = await self.threads.runs.create_and_poll(thread_id=message.thread_id, assistant_id="asst_1")
        page = await self.threads.messages.list(message.thread_id, run_id=run.id, limit=1)
        await self.send(message.conversation, page.data[0].content[0].text.value)


class Afterwards(Within):
    async def handle(self, message):
        task = asyncio.create_task(super().handle(message))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


def within(openai_client, redis_client, send):
    return Within(openai_client, send)


def afterwards(openai_client, redis_client, send):
    return Afterwards(openai_client, send)
