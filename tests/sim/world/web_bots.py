"""Web applications for tests of how applications are driven; they answer nobody."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any

log = logging.getLogger(__name__)


class Asgi:
    """Logs what it is asked, waits, and answers with a status.

    Args:
        seconds: it waits before the response begins.
        background_seconds: its work goes on for so long after the response.
        statuses: of its responses, in order; the last goes on.
        lifespan: `knows`, `raises`, or `fails` (says so, as frameworks do).
    """

    def __init__(
        self, seconds: float = 0.0, background_seconds: float = 0.0, statuses: Any = (200,), lifespan: str = "knows"
    ) -> None:
        self.seconds, self.background_seconds, self.lifespan = seconds, background_seconds, lifespan
        self.statuses = list(statuses)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self.live(scope, receive, send)
            return
        body = (await receive())["body"]
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        assert int(headers["content-length"]) == len(body)
        words = scope["state"].get("words", "no state")
        log.info("%s %s://%s%s: %s", scope["method"], scope["scheme"], headers["host"], scope["path"], words)
        await asyncio.sleep(self.seconds)
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if status == 0:
            raise LookupError("no such customer")
        await send({"type": "http.response.start", "status": status, "headers": [(b"X-A", b"1")]})
        await send({"type": "http.response.body", "body": b"o", "more_body": True})
        await send({"type": "http.response.body", "body": b"k"})
        log.info("then %s", (await receive())["type"])
        await asyncio.sleep(self.background_seconds)
        log.info("done")

    async def live(self, scope: Any, receive: Any, send: Any) -> None:
        if self.lifespan == "raises":
            raise KeyError("lifespan")
        assert (await receive())["type"] == "lifespan.startup"
        await asyncio.sleep(3.0)
        if self.lifespan == "fails":
            await send({"type": "lifespan.startup.failed", "message": "Traceback\nOSError: no database"})
            raise OSError("no database")
        scope["state"]["words"] = "started"
        await send({"type": "lifespan.startup.complete"})
        await receive()
        log.info("never")


quick = Asgi()
slow = Asgi(seconds=25.0)
background = Asgi(background_seconds=25.0)
without_lifespan = Asgi(lifespan="raises")
not_starting = Asgi(lifespan="fails")
refusing = Asgi(statuses=(503, 404, 200))
raising = Asgi(statuses=(0, 200))


def made() -> Asgi:
    """An application that a function makes."""
    return Asgi()


async def texts(scope: Any, receive: Any, send: Any) -> None:
    """Answers in its response, as Twilio takes it; the sender's own words come back."""
    if scope["type"] != "http":
        raise KeyError
    body = (await receive())["body"]
    await asyncio.sleep(20.0 if b"m2" in body else 1.0)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"Thank you"})


class Slow:
    """Not an application: `handle` takes its time."""

    async def handle(self, message: Any) -> None:
        await asyncio.sleep(25.0)


def slow_handle() -> Slow:
    return Slow()


def environment() -> Any:
    import os

    log.info("%s", json.dumps({name: os.environ.get(name) for name in ("WHATSAPP_TOKEN", "REDIS_URL", "MINE")}))
    return Asgi()


async def texts_of_body(scope: Any, receive: Any, send: Any) -> None:
    """Logs the texts of a webhook of WhatsApp's."""
    if scope["type"] != "http":
        raise KeyError
    (value,) = [each["value"] for entry in json.loads((await receive())["body"])["entry"] for each in entry["changes"]]
    log.info("%s", [each["text"]["body"] for each in value["messages"]])
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body"})


def wsgi(environ: Any, start_response: Any) -> Any:
    """Waits as plain code does, and gives its body in pieces."""
    length = int(environ["CONTENT_LENGTH"])
    body = json.loads(environ["wsgi.input"].read(length))
    path = f"{environ['wsgi.url_scheme']}://{environ['HTTP_HOST']}{environ['PATH_INFO']}?{environ['QUERY_STRING']}"
    log.info("%s %s, several threads: %s", environ["REQUEST_METHOD"], path, environ["wsgi.multithread"])
    time.sleep(3.0)
    if "m2" in body["text"]:
        raise LookupError("no such customer")

    class Body:
        def __iter__(self) -> Any:
            time.sleep(1.0)
            yield b"o"
            yield b"k"

        def close(self) -> None:
            log.info("closed")

    start_response("200 OK", [("X-A", "1")])
    return Body()


def wsgi_without_start(environ: Any, start_response: Any) -> list[bytes]:
    return []


class Plain:
    """Not an application: a plain `handle`."""

    def handle(self, message: Any) -> None:
        time.sleep(4.0)


def plain() -> Plain:
    return Plain()
