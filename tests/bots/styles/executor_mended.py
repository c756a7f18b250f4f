"""Four pools of one thread each; a customer's messages all go to the same one."""

import zlib
from concurrent.futures import ThreadPoolExecutor

from fastapi import FastAPI
from thread_per_message import answer, new_messages

app = FastAPI()
pools = [ThreadPoolExecutor(max_workers=1) for _ in range(4)]


@app.post("/webhook")
async def webhook(payload: dict) -> dict:
    for message in new_messages(payload):
        user = message["from"]
        pools[zlib.crc32(user.encode()) % len(pools)].submit(answer, user, message["text"]["body"])
    return {"status": "ok"}
