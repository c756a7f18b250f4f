"""python-telegram-bot with a webhook of one's own; `block=False`, so that one chat's answer does not hold up the others."""

import os

from openai import AsyncOpenAI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from telegram import Update
from telegram.ext import Application, ContextTypes, MessageHandler, filters

client = AsyncOpenAI()
seen: set[int] = set()


async def on_text(update: Update, context: ContextTypes.DEFAULT_TYPE) -> None:
    if "thread_id" not in context.chat_data:
        context.chat_data["thread_id"] = (await client.beta.threads.create()).id
    thread_id = context.chat_data["thread_id"]
    await client.beta.threads.messages.create(thread_id, role="user", content=update.message.text)
    run = await client.beta.threads.runs.create_and_poll(
        thread_id=thread_id, assistant_id=os.environ["OPENAI_ASSISTANT_ID"]
    )
    messages = await client.beta.threads.messages.list(thread_id, run_id=run.id)
    await update.message.reply_text(messages.data[0].content[0].text.value)


bot = Application.builder().token(os.environ["TELEGRAM_BOT_TOKEN"]).updater(None).build()
bot.add_handler(MessageHandler(filters.TEXT, on_text, block=False))


async def webhook(request: Request) -> Response:
    if not bot.running:
        await bot.initialize()
        await bot.start()
    content = await request.json()
    if content["update_id"] not in seen:
        seen.add(content["update_id"])
        await bot.update_queue.put(Update.de_json(content, bot.bot))
    return Response()


app = Starlette(routes=[Route("/webhook", webhook, methods=["POST"])])
