"""A bot as most are: Flask, plain code, WhatsApp's Cloud API, the Assistants API. It answers before it acknowledges."""

from __future__ import annotations

import hashlib
import hmac
import os
import threading
import time

import requests
from flask import Flask, abort, request
from openai import OpenAI

GRAPH = f"https://graph.facebook.com/v21.0/{os.environ['PHONE_NUMBER_ID']}/messages"
client = OpenAI()
threads = {}
app = Flask(__name__)


def send(to, text):
    response = requests.post(
        GRAPH,
        json={"messaging_product": "whatsapp", "to": to, "type": "text", "text": {"body": text}},
        headers={"Authorization": f"Bearer {os.environ['ACCESS_TOKEN']}"},
        timeout=30,
    )
    response.raise_for_status()


def answer(sender, text):
    if sender not in threads:
        threads[sender] = client.beta.threads.create().id
    thread_id = threads[sender]
    client.beta.threads.messages.create(thread_id, role="user", content=text)
    run = client.beta.threads.runs.create(thread_id, assistant_id=os.environ["ASSISTANT_ID"])
    while run.status in ("queued", "in_progress"):
        time.sleep(1)
        run = client.beta.threads.runs.retrieve(run.id, thread_id=thread_id)
    messages = client.beta.threads.messages.list(thread_id, run_id=run.id)
    send(sender, messages.data[0].content[0].text.value)


def messages_of(webhook):
    expected = hmac.new(os.environ["APP_SECRET"].encode(), webhook.get_data(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(f"sha256={expected}", webhook.headers.get("X-Hub-Signature-256", "")):
        abort(403)
    value = webhook.get_json()["entry"][0]["changes"][0]["value"]
    return value.get("messages", [])


@app.route("/webhook", methods=["POST"])
def webhook():
    for message in messages_of(request):
        answer(message["from"], message["text"]["body"])
    return "ok"


# Mended: a thread for each message, which waits for its sender's turn, and no message twice.

mended = Flask("mended")
guard = threading.Lock()
seen = set()
turns = {}


def in_turn(message):
    with guard:
        turn = turns.setdefault(message["from"], threading.Lock())
    with turn:
        answer(message["from"], message["text"]["body"])


@mended.post("/webhook")
def webhook_mended():
    for message in messages_of(request):
        with guard:
            if message["id"] in seen:
                continue
            seen.add(message["id"])
        threading.Thread(target=in_turn, args=(message,)).start()
    return "ok"


# With a mistake: what Flask logs and answers with status 500.

mistaken = Flask("mistaken")


@mistaken.post("/webhook")
def webhook_mistaken():
    return request.get_json()["entries"]
