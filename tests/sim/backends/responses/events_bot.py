"""A bot that takes turns in the background and answers when an event tells that one has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import openai


class EventsBot:
    """Flawed as its settings say.

    failing       how many of its first events raise
    slow_seconds  how long it takes over each event, before it acknowledges it
    remembers     whether it remembers the ids of events
    secret        with which it checks them; None: the client's own
    cancels_after_seconds  after which it cancels each turn; None: it cancels none
    """

    def __init__(
        self,
        client: Any,
        redis: Any,
        send: Any,
        failing: int = 0,
        slow_seconds: float = 0.0,
        remembers: bool = False,
        secret: str | None = None,
        cancels_after_seconds: float | None = None,
    ) -> None:
        self.cancels_after_seconds = cancels_after_seconds
        self.client, self.redis, self.send = client, redis, send
        self.failing, self.slow_seconds, self.remembers, self.secret = failing, slow_seconds, remembers, secret

    async def handle(self, message: Any) -> None:
        response = await self.client.responses.create(
            model="gpt-4o", input=message.text, conversation=message.thread_id, background=True
        )
        await self.redis.set(f"turn:{response.id}", message.conversation)
        if self.cancels_after_seconds is not None:
            await asyncio.sleep(self.cancels_after_seconds)
            await self.client.responses.cancel(response.id)

    async def handle_webhook(self, payload: bytes, headers: Mapping[str, str]) -> None:
        given = {} if self.secret is None else {"secret": self.secret}
        event = self.client.webhooks.unwrap(payload, headers, **given)
        if self.failing > 0:
            self.failing -= 1
            raise RuntimeError("not now")
        if self.remembers and not await self.redis.set(f"event:{headers['webhook-id']}", 1, nx=True):
            return
        conversation = (await self.redis.get(f"turn:{event.data.id}")).decode()
        response = await self.client.responses.retrieve(event.data.id)
        await self.send(conversation, response.output_text or f"The turn ended as {event.type}")
        await asyncio.sleep(self.slow_seconds)


def make(client: Any, redis: Any, send: Any, **settings: Any) -> EventsBot:
    return EventsBot(client, redis, send, **settings)


class Application:
    """An ASGI application that makes its clients itself, and takes events at a path of its own."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            return
        body = (await receive())["body"]
        client, status = openai.AsyncOpenAI(), 200
        if scope["path"] == "/events":
            try:
                event = client.webhooks.unwrap(
                    body, {name.decode(): value.decode() for name, value in scope["headers"]}
                )
                status = 204 if event.type == "response.completed" else 500
            except openai.InvalidWebhookSignatureError:
                status = 400
        else:
            await client.responses.create(model="gpt-4o", input="Hello", background=True)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})


application = Application()


class Deaf:
    def __init__(self, client: Any) -> None:
        self.client = client

    async def handle(self, message: Any) -> None:
        await self.client.responses.create(
            model="m", input=message.text, conversation=message.thread_id, background=True
        )


def deaf(client: Any, redis: Any, send: Any) -> Deaf:
    return Deaf(client)
