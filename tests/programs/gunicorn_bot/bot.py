"""A support bot on WhatsApp: Flask, a thread for each message, and redis-py's lock so that two processes agree.

gunicorn --workers 2 --threads 8 bot:app
"""

import hashlib
import hmac
import logging
import os
import threading
import time

import redis
import requests
from flask import Flask, abort, request
from openai import OpenAI

GRAPH = os.environ.get("GRAPH_URL", "https://graph.facebook.com/v21.0")
SORRY = "Desculpe, ocorreu um erro ao processar sua mensagem. Por favor, tente novamente."

app = Flask(__name__)
log = logging.getLogger("gunicorn.error")
client = OpenAI()
cache = redis.Redis(
    host=os.environ.get("REDIS_HOST", "localhost"), port=int(os.environ.get("REDIS_PORT", 6379)), decode_responses=True
)


def send(phone, text):
    response = requests.post(
        f"{GRAPH}/{os.environ['PHONE_NUMBER_ID']}/messages",
        headers={"Authorization": f"Bearer {os.environ['WHATSAPP_TOKEN']}"},
        json={"messaging_product": "whatsapp", "to": phone, "type": "text", "text": {"body": text}},
        timeout=30,
    )
    response.raise_for_status()


def thread_of(phone):
    known = cache.get(f"thread:{phone}")
    if known is None:
        known = client.beta.threads.create().id
        cache.set(f"thread:{phone}", known)
    return known


def answer(phone, text):
    thread_id = thread_of(phone)
    client.beta.threads.messages.create(thread_id, role="user", content=text)
    run = client.beta.threads.runs.create(thread_id, assistant_id=os.environ["OPENAI_ASSISTANT_ID"])
    while run.status in ("queued", "in_progress"):
        time.sleep(1)
        run = client.beta.threads.runs.retrieve(run.id, thread_id=thread_id)
    messages = client.beta.threads.messages.list(thread_id, limit=1)
    return messages.data[0].content[0].text.value


def handle(message):
    phone = message["from"]
    try:
        # Five seconds are enough for anybody in front; who waits longer goes on without an answer.
        with cache.lock(f"lock:{phone}", timeout=120, blocking_timeout=5):
            send(phone, answer(phone, message["text"]["body"]))
    except redis.exceptions.LockError:
        log.warning("%s is busy, %s is dropped", phone, message["id"])
    except Exception:
        log.exception("message %s", message["id"])
        send(phone, SORRY)


@app.get("/healthz")
def health():
    return {"redis": cache.ping()}


@app.get("/webhook")
def verify():
    if request.args.get("hub.verify_token") != os.environ["VERIFY_TOKEN"]:
        abort(403)
    return request.args["hub.challenge"]


@app.post("/webhook")
def webhook():
    expected = hmac.new(os.environ["APP_SECRET"].encode(), request.get_data(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(f"sha256={expected}", request.headers.get("X-Hub-Signature-256", "")):
        abort(401)
    for entry in request.get_json()["entry"]:
        for change in entry["changes"]:
            for message in change["value"].get("messages", []):
                if message["type"] == "text":
                    threading.Thread(target=handle, args=(message,), daemon=True).start()
    return "", 200
