"""Flask: the view answers before it returns."""

import os
import time

import requests
from flask import Flask, request
from openai import OpenAI

app = Flask(__name__)
client = OpenAI()
thread_ids = {}


def send_text(to, body):
    response = requests.post(
        f"https://graph.facebook.com/v21.0/{os.environ['PHONE_NUMBER_ID']}/messages",
        headers={"Authorization": f"Bearer {os.environ['WHATSAPP_TOKEN']}"},
        json={"messaging_product": "whatsapp", "to": to, "type": "text", "text": {"body": body}},
        timeout=30,
    )
    response.raise_for_status()


def answer(user, text):
    if user not in thread_ids:
        thread_ids[user] = client.beta.threads.create().id
    thread_id = thread_ids[user]
    client.beta.threads.messages.create(thread_id, role="user", content=text)
    run = client.beta.threads.runs.create(thread_id, assistant_id=os.environ["OPENAI_ASSISTANT_ID"])
    while run.status in ("queued", "in_progress"):
        time.sleep(1)
        run = client.beta.threads.runs.retrieve(run.id, thread_id=thread_id)
    messages = client.beta.threads.messages.list(thread_id, run_id=run.id)
    send_text(user, messages.data[0].content[0].text.value)


@app.post("/webhook")
def webhook():
    for entry in request.json["entry"]:
        for change in entry["changes"]:
            for message in change["value"].get("messages", []):
                answer(message["from"], message["text"]["body"])
    return "", 200
