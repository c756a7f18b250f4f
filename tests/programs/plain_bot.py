"""A bot as many write them: `http.server`, the OpenAI SDK, a thread for each message, and no lock at all.

`--locked` gives each conversation a lock in Redis, a queue in order, and a mark for messages that were handled.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import openai
import redis

SORRY = "Desculpe, ocorreu um erro ao processar sua mensagem. Por favor, tente novamente."
LOCKED = "--locked" in sys.argv

client = openai.OpenAI()
kept: Any = redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)
threads: dict[str, str] = {}


def thread_of(phone: str) -> str:
    """The thread of a customer, in Redis where copies must agree on it."""
    if not LOCKED:
        return threads.setdefault(phone, client.beta.threads.create().id) if phone not in threads else threads[phone]
    known = kept.get(f"thread:{phone}")
    if known is None:
        known = client.beta.threads.create().id
        kept.set(f"thread:{phone}", known)
    return str(known)


def answer(phone: str, texts: list[str]) -> None:
    """Pass the customer's words on, wait for the reply, and send it."""
    thread = thread_of(phone)
    for text in texts:
        client.beta.threads.messages.create(thread, role="user", content=text)
    client.beta.threads.runs.create_and_poll(thread_id=thread, assistant_id=os.environ["OPENAI_ASSISTANT_ID"])
    content: Any = client.beta.threads.messages.list(thread, limit=1).data[0].content[0]
    send(phone, content.text.value)


def send(phone: str, text: str) -> None:
    """Send a text to a customer."""
    body = {"messaging_product": "whatsapp", "to": phone, "type": "text", "text": {"body": text}}
    request = urllib.request.Request(
        f"{os.environ['GRAPH_API_URL']}/v21.0/{os.environ['PHONE_NUMBER_ID']}/messages",
        json.dumps(body).encode(),
        {"content-type": "application/json", "authorization": f"Bearer {os.environ['WHATSAPP_TOKEN']}"},
    )
    urllib.request.urlopen(request).read()


def handle(phone: str, text: str) -> None:
    """Without a lock: whatever comes is answered at once."""
    try:
        answer(phone, [text])
    except openai.APIError as error:
        print("error", error, flush=True)
        send(phone, SORRY)


def work_off(phone: str) -> None:
    """With one: who holds it answers all that waits, in order."""
    while kept.llen(f"inbox:{phone}"):
        with kept.lock(f"lock:{phone}", timeout=120):
            texts = kept.lrange(f"inbox:{phone}", 0, -1)
            if texts:
                answer(phone, texts)
                kept.ltrim(f"inbox:{phone}", len(texts), -1)


class Webhook(BaseHTTPRequestHandler):
    """Meta's webhook."""

    def do_POST(self) -> None:
        """Take messages, and answer them behind the response."""
        data = json.loads(self.rfile.read(int(self.headers["content-length"])))
        for message in (
            each
            for entry in data["entry"]
            for change in entry["changes"]
            for each in change["value"].get("messages", ())
        ):
            phone, text = message["from"], message["text"]["body"]
            if not LOCKED:
                threading.Thread(target=handle, args=(phone, text)).start()
            elif kept.set(f"seen:{message['id']}", 1, nx=True, ex=86_400):
                kept.rpush(f"inbox:{phone}", text)
                threading.Thread(target=work_off, args=(phone,)).start()
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Webhook).serve_forever()
