"""Telegram's Bot API. Grades as in `relaysim.sim.providers.provider`; C is the source of its own server.

| what | is so | grade |
|---|---|---|
| secret | `X-Telegram-Bot-Api-Secret-Token` is the one that the bot has set; nothing is signed | S |
| body | an update; `update_id` counts up, and is the same in a repeat | S |
| acknowledged by | any 2xx | S C |
| order | a chat's next update waits until the one before is acknowledged or given up | C |
| repeats | at once, then after 2 s, doubling up to 60 s (the server draws 60 to 120), for 24 hours | C |
| deadline | 60 s | A |
| reply in the response | a response with `method` is a call of that method | S |
| a chat's limit | a text a second; short bursts pass | S |
| the length of such bursts | 20 | A |
| beyond it | 429 with `parameters.retry_after` | S |
| a text's length | 4096 characters | S |
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from relaysim.sim.providers import fields
from relaysim.sim.providers.http import HttpRequest, HttpResponse, json_bytes, json_response
from relaysim.sim.providers.provider import (
    BY_WEBHOOK_ONLY,
    PUBLIC_NAME,
    Attempt,
    CustomerMessage,
    Done,
    Limit,
    NotSimulated,
    Provider,
    Text,
    display_name,
    doubling,
    number_of,
)

_TEXT_MAX = 4096
_CHATS = 700_000_000
_UPDATES = 500_000_000
_MESSAGES = 1_000
_SENT = 1_000_000
_BOT = {"id": 123456789, "is_bot": True, "first_name": "Bot", "username": "relaysim_bot"}
_SENDING = frozenset({"sendmessage", "sendrichmessage"})
_QUIET = frozenset(
    {
        "sendchataction",
        "setmycommands",
        "deletemycommands",
        "setwebhook",
        "deletewebhook",
        "answercallbackquery",
        "setmessagereaction",
        "readbusinessmessage",
        "close",
        "logout",
    }
)


class Telegram(Provider):
    """Telegram."""

    kind: Literal["telegram"] = Field(default="telegram", description="this provider")
    secret: str = fields.secret("the webhook's secret token")
    deadline_seconds: float = fields.deadline(60.0)
    repeat_seconds: tuple[float, ...] = fields.repeats(0.0, *doubling(2.0, 60.0, 86_400.0))
    in_order: bool = fields.in_order(True)
    token: str = Field(default="123456789:relaysim-token", pattern=r"^[0-9]+:[\w-]+$", description="the bot's token")

    hosts: ClassVar[tuple[str, ...]] = ("api.telegram.org",)
    limit: ClassVar[Limit | None] = Limit(1.0, 20)

    @property
    def order_seconds(self) -> float:
        """`update_id` counts up."""
        return 0.0

    @property
    def environment(self) -> Mapping[str, str]:
        """Under the names that public bots use."""
        return {
            **dict.fromkeys(("TELEGRAM_BOT_TOKEN", "TELEGRAM_TOKEN", "BOT_TOKEN"), self.token),
            **dict.fromkeys(("TELEGRAM_WEBHOOK_SECRET", "TELEGRAM_SECRET_TOKEN", "WEBHOOK_SECRET"), self.secret),
        }

    def webhook(self, messages: Sequence[CustomerMessage], attempt: Attempt) -> HttpRequest:
        """S: one update in a request."""
        (message,) = messages
        update = {
            "update_id": _UPDATES + message.number,
            "message": {
                "message_id": _MESSAGES + message.number,
                "from": {**self._person(message.conversation), "is_bot": False, "language_code": "en"},
                "chat": {**self._person(message.conversation), "type": "private"},
                "date": int(message.sent_at),
                "text": message.text,
            },
        }
        headers = {
            "host": PUBLIC_NAME,
            "x-telegram-bot-api-secret-token": self.secret,
            "content-type": "application/json",
            "accept-encoding": "gzip, deflate",
        }
        return HttpRequest("POST", self.url, headers, json_bytes(update))

    def replies(self, response: HttpResponse, message: CustomerMessage) -> tuple[Text, ...]:
        """S: a call that the response carries; what it gives nobody learns."""
        given = HttpRequest("POST", self.url, response.headers, response.body).parameters
        method = given.get("method")
        asked = self._call(method, given) if isinstance(method, str) else None
        return (asked,) if isinstance(asked, Text) else ()

    def read(self, request: HttpRequest) -> Text | Done | NotSimulated:
        """S: `/bot<token>/METHOD`; names of methods in any case."""
        head, _, method = request.path.lstrip("/").partition("/")
        if head != f"bot{self.token}":
            return Done(_error(401, "Unauthorized"))
        return self._call(method, request.parameters)

    def _call(self, method: str, given: Mapping[str, Any]) -> Text | Done | NotSimulated:
        name = method.lower()
        if name in _QUIET:
            return Done(_result(True))
        if name == "getme":
            return Done(_result(_BOT))
        if name == "getupdates":
            return NotSimulated("fetching messages from Telegram by long polling (getUpdates)", BY_WEBHOOK_ONLY)
        if name == "getwebhookinfo":
            info = {"url": self.url, "has_custom_certificate": False, "pending_update_count": 0}
            return Done(_result(info))
        if name not in _SENDING:
            return Done(_error(404, "Not Found"))
        conversation = self.conversation(str(given.get("chat_id", "")))
        if conversation is None:
            return Done(_error(400, "Bad Request: chat not found"))
        text = given.get("text")
        if not isinstance(text, str) or not text.strip():
            return Done(_error(400, "Bad Request: message text is empty"))
        if len(text) > _TEXT_MAX:
            return Done(_error(400, "Bad Request: message is too long"))
        return Text(conversation, text)

    def sent(self, text: Text, number: int, now: float) -> HttpResponse:
        """S: the message that was sent."""
        chat = {**self._person(text.conversation), "type": "private"}
        message = {"message_id": _SENT + number, "from": _BOT, "chat": chat, "date": int(now), "text": text.text}
        return _result(message)

    def not_sent(self) -> HttpResponse:
        """W: a fault of the server."""
        return _error(502, "Bad Gateway")

    def limited(self, seconds: float) -> HttpResponse:
        """S: in whole seconds."""
        wait = math.ceil(seconds)
        return _error(429, f"Too Many Requests: retry after {wait}", {"retry_after": wait})

    def address(self, conversation: str) -> str:
        """The chat's id."""
        return str(_CHATS + number_of(conversation))

    def conversation(self, address: str) -> str | None:
        """By the chat's id."""
        digits = address.strip()
        if not digits.isascii() or not digits.isdigit() or len(digits) > 20:
            return None
        number = int(digits) - _CHATS
        return f"c{number}" if 0 < number <= 1_000_000 else None

    def _person(self, conversation: str) -> dict[str, Any]:
        return {"id": _CHATS + number_of(conversation), "first_name": display_name(conversation)}


def _result(result: Any) -> HttpResponse:
    return json_response(200, {"ok": True, "result": result})


def _error(status: int, description: str, parameters: Mapping[str, Any] | None = None) -> HttpResponse:
    content: dict[str, Any] = {"ok": False, "error_code": status, "description": description}
    if parameters is not None:
        content["parameters"] = parameters
    return json_response(status, content)
