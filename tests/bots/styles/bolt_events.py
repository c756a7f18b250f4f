"""Slack Bolt on Starlette, set up as for a function service: it answers before it acknowledges."""

import os

from openai import AsyncOpenAI
from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncApp
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

client = AsyncOpenAI()
thread_ids: dict[str, str] = {}


async def authorize(**_: object) -> object:
    from slack_bolt.authorization import AuthorizeResult

    return AuthorizeResult(enterprise_id=None, team_id="T1", bot_token=os.environ["SLACK_BOT_TOKEN"], bot_user_id="U1")


async def answer(channel: str, text: str) -> str:
    if channel not in thread_ids:
        thread_ids[channel] = (await client.beta.threads.create()).id
    thread_id = thread_ids[channel]
    await client.beta.threads.messages.create(thread_id, role="user", content=text)
    run = await client.beta.threads.runs.create_and_poll(
        thread_id=thread_id, assistant_id=os.environ["OPENAI_ASSISTANT_ID"]
    )
    messages = await client.beta.threads.messages.list(thread_id, run_id=run.id)
    return messages.data[0].content[0].text.value


slack = AsyncApp(authorize=authorize, signing_secret=os.environ["SLACK_SIGNING_SECRET"], process_before_response=True)


@slack.event("message")
async def on_message(event: dict, say: object) -> None:
    if "bot_id" not in event:
        await say(await answer(event["channel"], event["text"]))


handler = AsyncSlackRequestHandler(slack)


async def endpoint(request: Request) -> Response:
    return await handler.handle(request)


app = Starlette(routes=[Route("/slack/events", endpoint, methods=["POST"])])
