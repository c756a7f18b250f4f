"""The same with a lock for each customer, in the memory of the process: right as long as there is one process."""

import asyncio
from collections import defaultdict

from fastapi import BackgroundTasks, FastAPI, Request
from fastapi_background import answer, seen

app = FastAPI()
locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)


async def answer_in_turn(user: str, text: str) -> None:
    async with locks[user]:
        await answer(user, text)


@app.post("/webhook")
async def webhook(request: Request, background: BackgroundTasks) -> dict:
    payload = await request.json()
    for entry in payload["entry"]:
        for change in entry["changes"]:
            for message in change["value"].get("messages", []):
                if message["type"] == "text" and message["id"] not in seen:
                    seen.add(message["id"])
                    background.add_task(answer_in_turn, message["from"], message["text"]["body"])
    return {"status": "ok"}
