"""aiogram behind a webhook of one's own, which acknowledges and answers in the background: one chat's updates in turn."""

import asyncio
import os
from collections import defaultdict

from aiogram import BaseMiddleware, Bot, Dispatcher, F
from aiogram.types import Message
from openai import AsyncOpenAI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

client = AsyncOpenAI()
bot = Bot(os.environ["TELEGRAM_BOT_TOKEN"])
dispatcher = Dispatcher()
thread_ids: dict[int, str] = {}
seen: set[int] = set()


class OneAtATime(BaseMiddleware):
    def __init__(self) -> None:
        self.locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def __call__(self, handler, event, data):
        async with self.locks[event.chat.id]:
            return await handler(event, data)


dispatcher.message.middleware(OneAtATime())


@dispatcher.message(F.text)
async def on_text(message: Message) -> None:
    if message.chat.id not in thread_ids:
        thread_ids[message.chat.id] = (await client.beta.threads.create()).id
    thread_id = thread_ids[message.chat.id]
    await client.beta.threads.messages.create(thread_id, role="user", content=message.text)
    run = await client.beta.threads.runs.create_and_poll(
        thread_id=thread_id, assistant_id=os.environ["OPENAI_ASSISTANT_ID"]
    )
    messages = await client.beta.threads.messages.list(thread_id, run_id=run.id)
    await message.answer(messages.data[0].content[0].text.value)


async def webhook(request: Request) -> Response:
    update = await request.json()
    if update["update_id"] in seen:
        return Response()
    seen.add(update["update_id"])
    return Response(background=BackgroundTask(dispatcher.feed_raw_update, bot, update))


app = Starlette(routes=[Route("/webhook", webhook, methods=["POST"])])
