"""Slack Bolt as it is by default: it acknowledges an event at once. Repeats are dropped, a channel's answers take turns."""

import asyncio
import os
from collections import defaultdict

from bolt_events import answer, authorize
from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncApp
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
seen: set[str] = set()
slack = AsyncApp(authorize=authorize, signing_secret=os.environ["SLACK_SIGNING_SECRET"])


@slack.event("message")
async def on_message(body: dict, event: dict, say: object) -> None:
    if "bot_id" in event or body["event_id"] in seen:
        return
    seen.add(body["event_id"])
    async with locks[event["channel"]]:
        await say(await answer(event["channel"], event["text"]))


handler = AsyncSlackRequestHandler(slack)


async def endpoint(request: Request) -> Response:
    return await handler.handle(request)


app = Starlette(routes=[Route("/slack/events", endpoint, methods=["POST"])])
