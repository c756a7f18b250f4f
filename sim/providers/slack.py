"""Slack's Events API and `chat.postMessage`. Grades as in `relaysim.sim.providers.provider`.

| what | is so | grade |
|---|---|---|
| signature | `X-Slack-Signature`: `v0=` and HMAC-SHA256 of `v0:timestamp:body`; a time more than 5 minutes off is old | S |
| verification | `url_verification`, whose challenge a 200 must echo | S |
| acknowledged by | any 2xx | S |
| deadline | 3 s | S |
| repeats | at once, after 1 minute, after 5 minutes, with `X-Slack-Retry-Num` and `X-Slack-Retry-Reason` | S |
| final | a response with `X-Slack-No-Retry: 1` | S |
| its key | `event_id`, the same in a repeat | S |
| a channel's limit | a text a second; short bursts pass, then 429 with `Retry-After` | S |
| the length of such bursts | 20 | A |
| echoes | the bot's own messages are events, with a `bot_id` | S |
| errors | mostly status 200 with `ok: false` | S |

Slack also writes `&`, `<` and `>` in a customer's text as `&amp;`, `&lt;` and `&gt;`. Here they stay as they are, since no
model minds, and a bot that passes them on would seem to have changed the customer's words.
"""

from __future__ import annotations

import hmac
import json
import math
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, ClassVar, Literal

from pydantic import Field

from relaysim.sim.providers import fields
from relaysim.sim.providers.fields import Failure
from relaysim.sim.providers.http import HttpRequest, HttpResponse, json_bytes, json_response
from relaysim.sim.providers.provider import (
    BY_WEBHOOK_ONLY,
    PUBLIC_NAME,
    Attempt,
    CustomerMessage,
    Done,
    Limit,
    Notification,
    NotSimulated,
    Provider,
    Text,
    header_is_set,
    number_of,
    token,
)

_TEXT_MAX = 40_000
_CHALLENGE = "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"
_TEAM, _APP, _BOT_USER = "T0RELAYSIM", "A0RELAYSIM", "U0RELAYBOT"
_QUIET = frozenset({"api.test", "reactions.add", "reactions.remove", "conversations.mark", "conversations.open"})


class Slack(Provider):
    """Slack."""

    kind: Literal["slack"] = Field(default="slack", description="this provider")
    secret: str = fields.secret("the app's signing secret")
    path: str = Field(default="/slack/events", description="path of the bot's webhook")
    deadline_seconds: float = fields.deadline(3.0)
    repeat_seconds: tuple[float, ...] = fields.repeats(0.0, 60.0, 300.0)

    echoes: bool = Field(default=True, description="the webhook also gets the bot's own texts, with a `bot_id`")

    hosts: ClassVar[tuple[str, ...]] = ("slack.com", "www.slack.com")
    limit: ClassVar[Limit | None] = Limit(1.0, 20)

    @property
    def order_seconds(self) -> float:
        """`ts` has microseconds."""
        return 0.0

    @property
    def environment(self) -> Mapping[str, str]:
        """Under the names that Bolt uses."""
        return {"SLACK_BOT_TOKEN": "xoxb-relaysim-token", "SLACK_SIGNING_SECRET": self.secret}

    def verification(self) -> HttpRequest:
        """S: signed as events are."""
        return self._signed({"type": "url_verification", "token": "relaysim", "challenge": _CHALLENGE}, Attempt())

    def is_verified(self, response: HttpResponse) -> bool:
        """S: the challenge as plain text, or as JSON."""
        if response.status != 200:
            return False
        if response.body.strip() == _CHALLENGE.encode():
            return True
        try:
            content = json.loads(response.body)
        except ValueError:
            return False
        return isinstance(content, dict) and content.get("challenge") == _CHALLENGE

    def webhook(self, messages: Sequence[CustomerMessage], attempt: Attempt) -> HttpRequest:
        """S: one event in a request; each attempt is signed anew, with its own time."""
        (message,) = messages
        event = {
            "type": "message",
            "channel": self.address(message.conversation),
            "user": f"U0CUST{number_of(message.conversation)}",
            "text": message.text,
            "ts": f"{message.sent_at:.6f}",
            "client_msg_id": token("slack client", message.id).hex(),
            "channel_type": "im",
            "team": _TEAM,
            "event_ts": f"{message.sent_at:.6f}",
        }
        return self._signed(self._callback(event, self.message_id(message.id), message.sent_at), attempt)

    def _callback(self, event: Mapping[str, Any], event_id: str, at: float) -> dict[str, Any]:
        return {
            "token": "relaysim",
            "team_id": _TEAM,
            "api_app_id": _APP,
            "event": event,
            "type": "event_callback",
            "event_id": event_id,
            "event_time": int(at),
            "authorizations": [{"enterprise_id": None, "team_id": _TEAM, "user_id": _BOT_USER, "is_bot": True}],
            "is_ext_shared_channel": False,
        }

    def _signed(self, content: Any, attempt: Attempt) -> HttpRequest:
        body, now = json_bytes(content), str(int(attempt.now))
        signature = hmac.new(self.secret.encode(), f"v0:{now}:".encode() + body, sha256).hexdigest()
        headers = {
            "host": PUBLIC_NAME,
            "user-agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            "content-type": "application/json",
            "x-slack-request-timestamp": now,
            "x-slack-signature": f"v0={signature}",
        }
        if attempt.number:
            headers["x-slack-retry-num"] = str(attempt.number)
            headers["x-slack-retry-reason"] = _REASONS[attempt.failure or "status"]
        return HttpRequest("POST", self.url, headers, body)

    def message_id(self, message_id: str) -> str:
        """The event's id."""
        return "Ev" + token("slack", message_id, octets=5).hex().upper()

    def is_final(self, response: HttpResponse) -> bool:
        """S: the bot asks for no repeat."""
        return response.headers.get("x-slack-no-retry") == "1"

    def read(self, request: HttpRequest) -> Text | Done | NotSimulated:
        """S: `/api/METHOD`, as JSON or a form."""
        given = request.parameters
        if not header_is_set(request.headers, "authorization", ("Bearer ",)) and not given.get("token"):
            return Done(_refused("not_authed"))
        group, _, method = request.path.lstrip("/").partition("/")
        if group != "api":
            return Done(HttpResponse(404, {"content-type": "text/plain"}, b"not found"))
        if method == "auth.test":
            known = {"url": "https://relaysim.slack.com/", "team": "relaysim", "user": "bot", "team_id": _TEAM}
            return Done(json_response(200, {"ok": True, **known, "user_id": _BOT_USER, "bot_id": "B0RELAYSIM"}))
        if method == "apps.connections.open":
            return NotSimulated("fetching messages from Slack by socket mode (apps.connections.open)", BY_WEBHOOK_ONLY)
        if method in _QUIET or method.startswith("assistant.threads."):
            return Done(json_response(200, {"ok": True}))
        if method != "chat.postMessage":
            return Done(_refused("unknown_method"))
        conversation = self.conversation(str(given.get("channel") or ""))
        if conversation is None:
            return Done(_refused("channel_not_found"))
        text = given.get("text")
        if not isinstance(text, str) or not text:
            return Done(_refused("no_text"))
        if len(text) > _TEXT_MAX:
            return Done(_refused("msg_too_long"))
        return Text(conversation, _unescaped(text))

    def sent(self, text: Text, number: int, now: float) -> HttpResponse:
        """S: posted."""
        message, channel = _posted(text, number, now), self.address(text.conversation)
        return json_response(200, {"ok": True, "channel": channel, "ts": message["ts"], "message": message})

    def notifications(self, text: Text, number: int, now: float) -> tuple[Notification, ...]:
        """S: the bot's own message is an event, too. A bot that does not look at `bot_id` answers itself."""
        if not self.echoes:
            return ()
        event = {**_posted(text, number, now), "channel": self.address(text.conversation), "channel_type": "im"}
        event_id = "Ev" + token("slack sent", text.conversation, number, octets=5).hex().upper()
        callback = self._callback(event, event_id, now)
        return (Notification(0.5, self._signed(callback, Attempt(now=now + 0.5))),)

    def not_sent(self) -> HttpResponse:
        """S: a fault of the server."""
        return json_response(500, {"ok": False, "error": "internal_error"})

    def limited(self, seconds: float) -> HttpResponse:
        """S: in whole seconds."""
        return json_response(429, {"ok": False, "error": "ratelimited"}, retry_after=str(math.ceil(seconds)))

    def address(self, conversation: str) -> str:
        """The direct messages' channel."""
        return f"D0CUST{number_of(conversation)}"

    def conversation(self, address: str) -> str | None:
        """By the channel, or by the user."""
        for prefix in ("D0CUST", "U0CUST"):
            digits = address.removeprefix(prefix)
            if digits != address and digits.isascii() and digits.isdigit() and len(digits) <= 7:
                return f"c{int(digits)}"
        return None


_REASONS: Mapping[Failure, str] = {
    "unreachable": "connection_failed",
    "broken": "connection_failed",
    "timeout": "http_timeout",
    "status": "http_error",
}


def _unescaped(text: str) -> str:
    """As people read what a bot has escaped: S."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _posted(text: Text, number: int, now: float) -> dict[str, Any]:
    stamp = f"{now:.0f}.{number % 1_000_000:06}"
    return {"type": "message", "user": _BOT_USER, "text": text.text, "ts": stamp, "bot_id": "B0RELAYSIM"}


def _refused(error: str) -> HttpResponse:
    return json_response(200, {"ok": False, "error": error})
