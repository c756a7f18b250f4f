"""A bot for Slack's events, on Starlette alone. It answers in the request, which takes longer than Slack waits."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os

import httpx2
from openai import AsyncOpenAI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

client = AsyncOpenAI()
threads: dict[str, str] = {}


def is_signed(request: Request, body: bytes) -> bool:
    signed = b"v0:" + request.headers["x-slack-request-timestamp"].encode() + b":" + body
    made = hmac.new(os.environ["SLACK_SIGNING_SECRET"].encode(), signed, hashlib.sha256).hexdigest()
    return hmac.compare_digest(f"v0={made}", request.headers["x-slack-signature"])


async def answer(event: dict) -> None:
    channel = event["channel"]
    if channel not in threads:
        threads[channel] = (await client.beta.threads.create()).id
    await client.beta.threads.messages.create(threads[channel], role="user", content=event["text"])
    run = await client.beta.threads.runs.create_and_poll(
        thread_id=threads[channel], assistant_id="asst_1", poll_interval_ms=500
    )
    messages = await client.beta.threads.messages.list(threads[channel], run_id=run.id)
    async with httpx2.AsyncClient() as http:
        response = await http.post(
            "https://slack.com/api/chat.postMessage",
            json={"channel": channel, "text": messages.data[0].content[0].text.value},
            headers={"Authorization": f"Bearer {os.environ['SLACK_BOT_TOKEN']}"},
        )
    assert response.json()["ok"], response.text


def is_from_a_person(content: dict) -> bool:
    return content["event"]["type"] == "message" and not content["event"].get("bot_id")


async def events(request: Request) -> Response:
    if not is_signed(request, await request.body()):
        return PlainTextResponse("bad signature", 401)
    content = await request.json()
    if content["type"] == "url_verification":
        return PlainTextResponse(content["challenge"])
    if is_from_a_person(content):
        await answer(content["event"])
    return JSONResponse({})


app = Starlette(routes=[Route("/slack/events", events, methods=["POST"])])


# Mended: at once, each event once, one at a time in a channel.

seen: set[str] = set()
turns: dict[str, asyncio.Lock] = {}
at_work: set[asyncio.Task] = set()


async def in_turn(event: dict) -> None:
    async with turns.setdefault(event["channel"], asyncio.Lock()):
        await answer(event)


async def events_mended(request: Request) -> Response:
    if not is_signed(request, await request.body()):
        return PlainTextResponse("bad signature", 401)
    content = await request.json()
    if is_from_a_person(content) and content["event_id"] not in seen:
        seen.add(content["event_id"])
        task = asyncio.create_task(in_turn(content["event"]))
        at_work.add(task)
        task.add_done_callback(at_work.discard)
    return JSONResponse({})


mended = Starlette(routes=[Route("/slack/events", events_mended, methods=["POST"])])


# Without a look at `bot_id`: it answers itself.


async def events_unfiltered(request: Request) -> Response:
    event = (await request.json())["event"]
    task = asyncio.create_task(in_turn(event))
    at_work.add(task)
    task.add_done_callback(at_work.discard)
    return JSONResponse({})


unfiltered = Starlette(routes=[Route("/slack/events", events_unfiltered, methods=["POST"])])
