"""arq: jobs run side by side, those of one conversation too. The second bot takes a lock, and answers all that waits."""

import asyncio
import json
import os
from urllib.parse import urlsplit

import arq
import httpx
from arq.connections import RedisSettings
from openai import AsyncOpenAI

ENDED = ("completed", "failed", "cancelled", "expired", "incomplete")
SETTINGS = RedisSettings(host=urlsplit(os.environ.get("REDIS_URL", "redis://localhost")).hostname)
client = AsyncOpenAI()


async def send(sender, text):
    async with httpx.AsyncClient() as channel:
        (await channel.post(os.environ["CHANNEL_URL"], json={"to": sender, "text": text})).raise_for_status()


async def enqueue(message_id, sender, thread_id, sent_at, text):
    pool = await arq.create_pool(SETTINGS)
    await pool.enqueue_job("answer", sender, thread_id, [text], _job_id=message_id)
    await pool.aclose()


async def enqueue_for_one(message_id, sender, thread_id, sent_at, text):
    pool = await arq.create_pool(SETTINGS)
    await pool.zadd(f"waiting:{sender}", {json.dumps([message_id, text]): sent_at})
    await pool.enqueue_job("answer_waiting", sender, thread_id, _job_id=message_id, _defer_by=2.5)
    await pool.aclose()


async def answer(ctx, sender, thread_id, texts):
    threads = client.beta.threads
    for text in texts:
        await threads.messages.create(thread_id, role="user", content=text)
    run = await threads.runs.create(thread_id, assistant_id="asst_1")
    while run.status not in ENDED:
        await asyncio.sleep(1.0)
        run = await threads.runs.retrieve(run.id, thread_id=thread_id)
    page = await threads.messages.list(thread_id, run_id=run.id, limit=1)
    await send(sender, page.data[0].content[0].text.value if page.data else "Sorry, something went wrong.")


async def answer_waiting(ctx, sender, thread_id):
    async with ctx["redis"].lock(f"busy:{sender}", timeout=60):
        entries = await ctx["redis"].zrange(f"waiting:{sender}", 0, -1)
        if entries:
            await answer(ctx, sender, thread_id, [json.loads(each)[1] for each in entries])
            await ctx["redis"].zrem(f"waiting:{sender}", *entries)


class WorkerSettings:
    functions = [answer, answer_waiting]
    redis_settings = SETTINGS
    job_timeout = 60
