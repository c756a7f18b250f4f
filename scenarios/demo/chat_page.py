"""The page's server: its files, what it tells (server-sent events), and what it is told (POST with JSON).

It listens on the loopback interface. Other pages that are open in the same browser cannot use it: a request must name this
machine as its host, and one that changes something must be JSON, which a page of another origin may not send unasked.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from relaysim.scenarios.demo.chat_world import COPIES, CUSTOMERS, RELAYS, ChatWorld
from relaysim.sim.doors.server.body import BodyTooLargeError, ClientGoneError, read_body
from relaysim.sim.doors.server.delivery import Receive, Rendered, Scope, Send, send_whole

TEXT_MAX: Final = 1000
"""The longest message, in characters; WhatsApp takes 4,096."""

_BODY_MAX: Final = 20_000
_LOOK_SECONDS: Final = 0.1
_ALIVE_SECONDS: Final = 15.0

_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_FILES: Final = {
    "/": ("chat.html", "text/html; charset=utf-8"),
    "/chat.css": ("chat.css", "text/css; charset=utf-8"),
    "/chat.js": ("chat.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
FOLDER: Final = Path(__file__).parent / "page"


class BadRequest(Exception):
    """What was asked for makes no sense; `str` says why."""


class ChatPage:
    """An ASGI 3 application.

    Args:
        world: whose page it is.
        port: at which it is served.
    """

    def __init__(self, world: ChatWorld, port: int) -> None:
        self._world = world
        self._hosts = {f"127.0.0.1:{port}".encode(), f"localhost:{port}".encode()}
        self.stopping = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        headers = dict(scope["headers"])
        path, method = scope["path"], scope["method"]
        if headers.get(b"host") not in self._hosts:
            await self._answer(scope, send, 403, {"error": "this page is for this machine alone"})
        elif path in _FILES and method in ("GET", "HEAD"):
            name, kind = _FILES[path]
            await self._whole(scope, send, 200, (FOLDER / name).read_bytes(), kind)
        elif path == "/events" and method == "GET":
            await self._events(receive, send)
        elif path in _ACTIONS:
            await self._act(path, method, headers, scope, receive, send)
        else:
            await self._answer(scope, send, 404, {"error": "there is no such page"})

    async def _act(
        self, path: str, method: str, headers: Mapping[bytes, bytes], scope: Scope, receive: Receive, send: Send
    ) -> None:
        if method != "POST" or headers.get(b"content-type") != b"application/json":
            await self._answer(scope, send, 415, {"error": "send JSON by POST"})
            return
        try:
            asked = json.loads(await read_body(receive, scope["headers"], _BODY_MAX))
            if not isinstance(asked, dict):
                raise BadRequest("send an object")
            _ACTIONS[path](self._world, asked)
        except ClientGoneError:
            return
        except BodyTooLargeError:
            await self._answer(scope, send, 413, {"error": "the body is too long"})
        except (ValueError, RecursionError, BadRequest) as error:
            said = str(error) if isinstance(error, BadRequest) else "this is no JSON"
            await self._answer(scope, send, 400, {"error": said})
        else:
            await self._answer(scope, send, 200, {})

    async def _events(self, receive: Receive, send: Send) -> None:
        """The whole state, whenever it has changed; a comment now and then, so that a dead connection is noticed."""
        head = {**_HEADERS, "content-type": "text/event-stream"}
        await send({"type": "http.response.start", "status": 200, "headers": _raw(head)})
        gone = asyncio.ensure_future(_until_gone(receive))
        told, silent = "", 0.0
        try:
            while not self.stopping and not gone.done():
                state = json.dumps(self._world.snapshot(), ensure_ascii=False)
                if state != told or silent >= _ALIVE_SECONDS:
                    piece = f"data: {state}\n\n" if state != told else ": still here\n\n"
                    await send({"type": "http.response.body", "body": piece.encode(), "more_body": True})
                    told, silent = state, 0.0
                await asyncio.sleep(_LOOK_SECONDS)
                silent += _LOOK_SECONDS
            await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()
            with suppress(asyncio.CancelledError):
                await gone

    async def _answer(self, scope: Scope, send: Send, status: int, data: Mapping[str, Any]) -> None:
        await self._whole(scope, send, status, json.dumps(data).encode(), "application/json")

    async def _whole(self, scope: Scope, send: Send, status: int, body: bytes, kind: str) -> None:
        headers = {**_HEADERS, "content-type": kind, "content-length": str(len(body))}
        await send_whole(scope, send, Rendered(status, headers, body))


async def _until_gone(receive: Callable[[], Awaitable[Any]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def _write(world: ChatWorld, asked: Mapping[str, Any]) -> None:
    text = asked.get("text")
    if not isinstance(text, str) or not text.strip() or len(text) > TEXT_MAX:
        raise BadRequest(f"a message has 1 to {TEXT_MAX} characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadRequest("half of a character cannot be sent") from None
    world.write(_number(asked, "customer", len(CUSTOMERS)), text.strip())


def _kill(world: ChatWorld, asked: Mapping[str, Any]) -> None:
    world.kill(_number(asked, "copy", COPIES))


def _redis(world: ChatWorld, asked: Mapping[str, Any]) -> None:
    world.send_redis_away()


def _twice(world: ChatWorld, asked: Mapping[str, Any]) -> None:
    world.let_next_come_twice(wanted=_flag(asked))


def _stuck(world: ChatWorld, asked: Mapping[str, Any]) -> None:
    world.let_next_be_stuck(wanted=_flag(asked))


def _relay(world: ChatWorld, asked: Mapping[str, Any]) -> None:
    relay = asked.get("relay")
    if not isinstance(relay, str) or relay not in RELAYS:
        raise BadRequest(f"relay: one of {', '.join(RELAYS)}")
    world.change_relay(relay)


def _number(asked: Mapping[str, Any], name: str, most: int) -> int:
    number = asked.get(name)
    if type(number) is not int or not 1 <= number <= most:
        raise BadRequest(f"{name}: a number from 1 to {most}")
    return number


def _flag(asked: Mapping[str, Any]) -> bool:
    wanted = asked.get("wanted")
    if not isinstance(wanted, bool):
        raise BadRequest("wanted: true or false")
    return wanted


_ACTIONS: Final[Mapping[str, Callable[[ChatWorld, Mapping[str, Any]], None]]] = {
    "/write": _write,
    "/kill": _kill,
    "/redis": _redis,
    "/twice": _twice,
    "/stuck": _stuck,
    "/relay": _relay,
}
