"""A pool of four threads works off whatever comes."""

from concurrent.futures import ThreadPoolExecutor

from fastapi import FastAPI
from thread_per_message import answer, new_messages

app = FastAPI()
pool = ThreadPoolExecutor(max_workers=4)


@app.post("/webhook")
async def webhook(payload: dict) -> dict:
    for message in new_messages(payload):
        pool.submit(answer, message["from"], message["text"]["body"])
    return {"status": "ok"}
