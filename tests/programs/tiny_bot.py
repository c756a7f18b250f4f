"""A bot in plain sockets and JSON, which starts at once. What it does wrong is named by its first argument:

`right` answers each conversation's messages one after the other; `stores` keeps them in Redis before it acknowledges them;
`twice` sends each answer twice; `silent` answers nothing; `ends` ends at once; `deaf` listens nowhere; `late` listens after
a while; `child` also starts a process that would outlive it; `repeats` asks again after a second without a whole answer.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HOW = sys.argv[1]
API = os.environ["OPENAI_BASE_URL"]
threads: dict[str, str] = {}
locks: dict[str, threading.Lock] = defaultdict(threading.Lock)


def ask(url: str, body: Any = None) -> Any:
    """What is answered there."""
    headers = {"content-type": "application/json", "authorization": "Bearer sk-any", "openai-beta": "assistants=v2"}
    data = None if body is None else json.dumps(body).encode()
    while True:
        try:
            request = urllib.request.Request(url, data, headers)
            with urllib.request.urlopen(request, timeout=1.0 if HOW == "repeats" else None) as answer:
                return json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError):
            if HOW != "repeats":
                raise


def handle(phone: str, text: str) -> None:
    """Answer one message."""
    with locks[phone]:
        if phone not in threads:
            threads[phone] = ask(f"{API}/threads", {})["id"]
        at = f"{API}/threads/{threads[phone]}"
        ask(f"{at}/messages", {"role": "user", "content": text})
        run = ask(f"{at}/runs", {"assistant_id": "asst_x"})["id"]
        while ask(f"{at}/runs/{run}")["status"] in ("queued", "in_progress"):
            time.sleep(0.05)
        reply = ask(f"{at}/messages?limit=1")["data"][0]["content"][0]["text"]["value"]
        for _ in range(2 if HOW == "twice" else 1):
            texts = {"messaging_product": "whatsapp", "to": phone, "type": "text", "text": {"body": reply}}
            provider = os.environ["RELAYSIM_PROVIDER_URL"]
            ask(f"{provider}/v21.0/{os.environ['PHONE_NUMBER_ID']}/messages", texts)


def keep(message: dict[str, Any]) -> None:
    """Remember a message before it is acknowledged, once, however often it comes."""
    stored.hsetnx("messages", message["id"], json.dumps(message))
    stored.zadd("order", {message["id"]: time.time()}, nx=True)


def work_off() -> None:
    """Answer what waits, again and again: Redis may be gone for a while."""
    while True:
        try:
            for each in stored.zrange("order", 0, -1):
                if not stored.sismember("done", each):
                    message = json.loads(stored.hget("messages", each))
                    handle(message["from"], message["text"]["body"])
                    stored.sadd("done", each)
        except redis.exceptions.RedisError as error:
            print(error, flush=True)
        time.sleep(0.05)


class Webhook(BaseHTTPRequestHandler):
    """Meta's webhook."""

    def do_GET(self) -> None:
        """Give the challenge back to who makes sure of the address."""
        asked = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        if asked.get("hub.verify_token") != [os.environ["WHATSAPP_VERIFY_TOKEN"]]:
            self.send_error(501)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(asked["hub.challenge"][0].encode())

    def do_POST(self) -> None:
        """Take messages."""
        data = json.loads(self.rfile.read(int(self.headers["content-length"])))
        for entry in data["entry"]:
            for message in entry["changes"][0]["value"].get("messages", ()):
                if HOW == "stores":
                    keep(message)
                elif HOW != "silent":
                    threading.Thread(target=handle, args=(message["from"], message["text"]["body"])).start()
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


if HOW == "stores":
    import redis

    stored: Any = redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True, socket_timeout=5)
    threading.Thread(target=work_off, daemon=True).start()
if HOW == "ends":
    sys.exit("there is no configuration")
if HOW == "deaf":
    time.sleep(600)
if HOW == "late":
    time.sleep(2.5)
if HOW == "child":
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Webhook).serve_forever()
