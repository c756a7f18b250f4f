"""A bot for Twilio as its quickstart has it: the answer is the response, in TwiML. Whoever is slow answers nobody."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import threading
import time
from xml.sax.saxutils import escape

import requests
from flask import Flask, Response, abort, request
from openai import OpenAI

client = OpenAI()
threads = {}
app = Flask(__name__)


def reply_to(sender, text):
    if sender not in threads:
        threads[sender] = client.beta.threads.create().id
    client.beta.threads.messages.create(threads[sender], role="user", content=text)
    run = client.beta.threads.runs.create(threads[sender], assistant_id="asst_1")
    while run.status in ("queued", "in_progress"):
        time.sleep(1)
        run = client.beta.threads.runs.retrieve(run.id, thread_id=threads[sender])
    return client.beta.threads.messages.list(threads[sender], run_id=run.id).data[0].content[0].text.value


def check_signature():
    signed = request.url + "".join(name + request.form[name] for name in sorted(request.form))
    made = hmac.new(os.environ["TWILIO_AUTH_TOKEN"].encode(), signed.encode(), hashlib.sha1).digest()
    if base64.b64encode(made).decode() != request.headers["X-Twilio-Signature"]:
        abort(403)


@app.post("/webhook")
def webhook():
    check_signature()
    reply = reply_to(request.form["From"], request.form["Body"])
    return Response(f"<Response><Message>{escape(reply)}</Message></Response>", mimetype="text/xml")


# Mended: the response is empty and comes at once, and the answer is a message of its own.

mended = Flask("mended")


def send_reply(sender, text):
    account = os.environ["TWILIO_ACCOUNT_SID"]
    requests.post(
        f"https://api.twilio.com/2010-04-01/Accounts/{account}/Messages.json",
        data={"From": os.environ["TWILIO_WHATSAPP_NUMBER"], "To": sender, "Body": reply_to(sender, text)},
        auth=(account, os.environ["TWILIO_AUTH_TOKEN"]),
        timeout=30,
    ).raise_for_status()


@mended.post("/webhook")
def webhook_mended():
    check_signature()
    threading.Thread(target=send_reply, args=(request.form["From"], request.form["Body"])).start()
    return Response("<Response/>", mimetype="text/xml")
