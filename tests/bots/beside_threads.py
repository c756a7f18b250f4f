"""A bot that uses tools, voice and a chat summary beside its thread, with a race of its own, and its mended twin.

Each message is moderated, looked up by its embedding and spoken; a voice note is transcribed first, and each answer
is summed up by a chat completion, once whole, once streamed. `hurried` appends and runs without waiting for anybody;
`locked` has one handling per conversation at a time.
"""

from __future__ import annotations

import asyncio
import io
from typing import Any

import openai


class Bot:
    def __init__(self, client: openai.AsyncOpenAI, redis: Any, send: Any, *, locked: bool) -> None:
        self.client, self.redis, self.send, self.locked = client, redis, send, locked

    async def handle(self, message: Any) -> None:
        if not self.locked:
            await self.answer(message)
            return
        async with self.redis.lock(f"lock:{message.conversation}", timeout=600, sleep=0.2):
            await self.answer(message)

    async def answer(self, message: Any) -> None:
        text = await self.read(message.text)
        threads = self.client.beta.threads
        await threads.messages.create(message.thread_id, role="user", content=text)
        run = await threads.runs.create(message.thread_id, assistant_id="asst_relaysim")
        while run.status in ("queued", "in_progress", "requires_action"):
            if run.status == "requires_action":
                calls = run.required_action.submit_tool_outputs.tool_calls
                outputs: Any = [{"tool_call_id": call.id, "output": f"{call.function.name}: 3"} for call in calls]
                run = await threads.runs.submit_tool_outputs(run.id, thread_id=message.thread_id, tool_outputs=outputs)
            await asyncio.sleep(1)
            run = await threads.runs.retrieve(run.id, thread_id=message.thread_id)
        page = await threads.messages.list(message.thread_id, run_id=run.id)
        for each in reversed(page.data):
            await self.send(message.conversation, each.content[0].text.value)
        await self.sum_up(text)

    async def read(self, text: str) -> str:
        note = await self.client.audio.transcriptions.create(model="whisper-1", file=("note.ogg", io.BytesIO(b"OggS")))
        assert note.text == "Transcription of note.ogg"
        verdict = await self.client.moderations.create(input=text)
        assert not verdict.results[0].flagged
        found = await self.client.embeddings.create(model="text-embedding-3-small", input=text)
        assert len(found.data[0].embedding) == 1536
        return text

    async def sum_up(self, text: str) -> None:
        asked: Any = [{"role": "user", "content": "Sum up the conversation"}]
        whole = await self.client.chat.completions.create(model="gpt-4o-mini", messages=asked)
        assert whole.choices[0].message.content == "Reply 1 to: Sum up the conversation"
        pieces = await self.client.chat.completions.create(model="gpt-4o-mini", messages=asked, stream=True)
        said = [piece.choices[0].delta.content or "" async for piece in pieces]
        assert "".join(said) == whole.choices[0].message.content
        assert len(said) > 3
        speech = await self.client.audio.speech.create(model="tts-1", voice="alloy", input=text)
        assert len(speech.content) > 1000


def hurried(client: Any, redis: Any, send: Any) -> Bot:
    return Bot(client, redis, send, locked=False)


def locked(client: Any, redis: Any, send: Any) -> Bot:
    return Bot(client, redis, send, locked=True)


class Painter(Bot):
    """One that also lets an image be made, which is not simulated, and gives up on what that says."""

    async def sum_up(self, text: str) -> None:
        await self.client.images.generate(prompt=text)


def painting(client: Any, redis: Any, send: Any) -> Bot:
    return Painter(client, redis, send, locked=True)


def with_its_own_client(client: Any, redis: Any, send: Any) -> Bot:
    return Bot(openai.AsyncOpenAI(), redis, send, locked=True)


def at_azure(client: Any, redis: Any, send: Any) -> Bot:
    endpoint, version = "https://mine.openai.azure.com", "2025-03-01-preview"
    client = openai.AsyncAzureOpenAI(azure_endpoint=endpoint, api_key="key", api_version=version)
    return Bot(client, redis, send, locked=True)


class Chatting(Bot):
    """One that answers by chat completions alone."""

    async def handle(self, message: Any) -> None:
        asked: Any = [{"role": "user", "content": message.text}]
        answer = await self.client.chat.completions.create(model="gpt-4o-mini", messages=asked)
        await self.send(message.conversation, f"🤖 {answer.choices[0].message.content}")


def chatting(client: Any, redis: Any, send: Any) -> Bot:
    return Chatting(client, redis, send, locked=False)
