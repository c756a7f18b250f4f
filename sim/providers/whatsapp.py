"""WhatsApp Cloud API, as Meta runs it. Grades as in `relaysim.sim.providers.provider`.

| what | is so | grade |
|---|---|---|
| signature | `X-Hub-Signature-256`: HMAC-SHA256 of the raw body under the app's secret | S |
| verification | GET with `hub.challenge`, which a 200 must echo | S |
| several messages in one body | several messages, changes and entries are possible; how often it happens is not known | S |
| acknowledged by | 200 alone | S |
| repeats | with decreasing frequency up to 7 days | S |
| their schedule | at once, then a minute later, doubling up to four hours | A |
| deadline | 20 s: slower handlers were delivered to again; providers in between allow 5 s | W |
| order | none; `timestamp` has whole seconds | W |
| a customer's limit | one text in 6 s, 45 at once on credit, then error 131056 with status 400 | S |
| a text's length | 4096 characters, else error 100 | S |
| statuses | `sent`, `delivered`, `read` come to the same address, in no order | S |
| their times | 1, 2 and 8 s after the text was taken | A |
| no key of idempotency | after a timeout it cannot be known whether a text was sent | S, by its absence |
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, ClassVar, Literal
from urllib.parse import urlencode

from pydantic import Field

from relaysim.sim.providers import fields
from relaysim.sim.providers.http import HttpRequest, HttpResponse, json_bytes, json_response
from relaysim.sim.providers.provider import (
    PUBLIC_NAME,
    Attempt,
    CustomerMessage,
    Done,
    Limit,
    Notification,
    Provider,
    Text,
    display_name,
    doubling,
    header_is_set,
    number_of,
    phone_of,
    token,
)

_TEXT_MAX = 4096
_CHALLENGE = "1158201444"
_DAY = 86_400.0


class WhatsApp(Provider):
    """The Cloud API."""

    kind: Literal["whatsapp"] = Field(default="whatsapp", description="this provider")
    secret: str = fields.secret("the app's secret")
    deadline_seconds: float = fields.deadline(20.0)
    repeat_seconds: tuple[float, ...] = fields.repeats(0.0, *doubling(60.0, 4 * 3600.0, 7 * _DAY))
    phone_number_id: str = Field(default="106540352242922", description="the id of the bot's number")
    verify_token: str = Field(default="relaysim-verify", description="what a verification brings along")
    usernames: bool = Field(
        default=False,
        description="customers have usernames: their messages lack `from` and `wa_id`, and are known by `user_id` alone",
    )

    several_share: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of messages that wait 2 s for their conversation's next one, to come in one request with it",
    )
    statuses: bool = Field(
        default=True, description="the webhook also gets the statuses of texts that the bot has sent"
    )

    hosts: ClassVar[tuple[str, ...]] = ("graph.facebook.com",)
    limit: ClassVar[Limit | None] = Limit(6.0, 45)

    @property
    def environment(self) -> Mapping[str, str]:
        """Under the names that public bots use."""
        access, app, verify = "relaysim-token", self.secret, self.verify_token
        return {
            **dict.fromkeys(("WHATSAPP_TOKEN", "WHATSAPP_ACCESS_TOKEN", "ACCESS_TOKEN", "META_ACCESS_TOKEN"), access),
            **dict.fromkeys(("WHATSAPP_APP_SECRET", "APP_SECRET", "META_APP_SECRET"), app),
            **dict.fromkeys(("WHATSAPP_VERIFY_TOKEN", "VERIFY_TOKEN", "META_VERIFY_TOKEN"), verify),
            **dict.fromkeys(("WHATSAPP_PHONE_NUMBER_ID", "PHONE_NUMBER_ID", "WHATSAPP_PHONE_ID"), self.phone_number_id),
        }

    def verification(self) -> HttpRequest:
        """S: the parameters of the subscription."""
        query = {"hub.mode": "subscribe", "hub.verify_token": self.verify_token, "hub.challenge": _CHALLENGE}
        return HttpRequest("GET", f"{self.url}{'&' if '?' in self.url else '?'}{urlencode(query)}", _from_meta())

    def is_verified(self, response: HttpResponse) -> bool:
        """S: the challenge comes back, alone."""
        return response.status == 200 and response.body.strip() == _CHALLENGE.encode()

    def webhook(self, messages: Sequence[CustomerMessage], attempt: Attempt) -> HttpRequest:
        """S: one entry with one change, in which all messages are. A repeat is the same to the byte."""
        contact = self._contact(messages[0].conversation)
        return self._signed({"contacts": [contact], "messages": [self._message(each) for each in messages]})

    def _signed(self, what: Mapping[str, Any]) -> HttpRequest:
        value = {
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "15550783881", "phone_number_id": self.phone_number_id},
            **what,
        }
        change = {"value": value, "field": "messages"}
        body = json_bytes(
            {"object": "whatsapp_business_account", "entry": [{"id": "102290129340398", "changes": [change]}]}
        )
        signature = hmac.new(self.secret.encode(), body, sha256).hexdigest()
        headers = {"content-type": "application/json", "x-hub-signature-256": f"sha256={signature}"}
        return HttpRequest("POST", self.url, {**_from_meta(), **headers}, body)

    def _contact(self, conversation: str) -> dict[str, Any]:
        known = {"profile": {"name": display_name(conversation)}, "user_id": self._user_id(conversation)}
        return known if self.usernames else {**known, "wa_id": phone_of(conversation)}

    def _message(self, message: CustomerMessage) -> dict[str, Any]:
        sender: dict[str, Any] = {"from_user_id": self._user_id(message.conversation)}
        if not self.usernames:
            sender["from"] = phone_of(message.conversation)
        return {
            **sender,
            "id": self.message_id(message.id),
            "timestamp": str(int(message.sent_at)),
            "text": {"body": message.text},
            "type": "text",
        }

    def message_id(self, message_id: str) -> str:
        """What the provider calls a message of the world."""
        return "wamid." + b64encode(token("whatsapp", message_id, octets=30)).decode()

    def waits_for_more(self, u: float) -> bool:
        """As the table says; how often Meta does it nobody knows."""
        return u < self.several_share

    def acknowledges(self, response: HttpResponse) -> bool:
        """S: anything but 200 is repeated."""
        return response.status == 200

    def read(self, request: HttpRequest) -> Text | Done:
        """S: texts, "is typing" and marks "read" come to the same address. Of an interactive message its body is the text;
        media and templates are taken, and no customer of a world sees them."""
        given = request.parameters
        if not header_is_set(request.headers, "authorization", ("Bearer ", "OAuth ")) and not given.get("access_token"):
            return Done(_error(401, 190, "Invalid OAuth access token - Cannot parse access token"))
        if request.method != "POST" or not request.path.endswith(f"/{self.phone_number_id}/messages"):
            return Done(_error(400, 100, f"Unsupported {request.method.lower()} request", "GraphMethodException"))
        if given.get("messaging_product") != "whatsapp":
            return Done(_error(400, 100, "The parameter messaging_product is required."))
        if given.get("status") == "read":
            if not given.get("message_id"):
                return Done(_error(400, 100, "The parameter message_id is required."))
            return Done(json_response(200, {"success": True}))
        conversation = self.conversation(str(given.get("to") or given.get("recipient") or ""))
        if conversation is None:
            return Done(_error(400, 131026, "Message undeliverable"))
        kind = given.get("type", "text")
        holder = given.get(kind)
        if kind == "interactive" and isinstance(holder, dict):
            holder = holder.get("body")
        if kind not in ("text", "interactive"):
            return Done(self.sent(Text(conversation, ""), number_of(conversation), 0.0))
        text = holder.get("text" if kind == "interactive" else "body") if isinstance(holder, dict) else None
        if not isinstance(text, str) or not text:
            return Done(_error(400, 100, "The parameter text['body'] is required."))
        if len(text) > _TEXT_MAX:
            return Done(_error(400, 100, f"Param text['body'] must be at most {_TEXT_MAX} characters long."))
        return Text(conversation, text)

    def sent(self, text: Text, number: int, now: float) -> HttpResponse:
        """S: accepted, which does not say delivered."""
        phone = phone_of(text.conversation)
        content = {
            "messaging_product": "whatsapp",
            "contacts": [{"input": self.address(text.conversation), "wa_id": phone}],
            "messages": [{"id": self._sent_id(text, number)}],
        }
        return json_response(200, content)

    def notifications(self, text: Text, number: int, now: float) -> tuple[Notification, ...]:
        """S: statuses, which come in no order; here `delivered` overtakes `sent`."""
        return tuple(
            Notification(seconds, self._signed({"statuses": [self._status(status, text, number, now + seconds)]}))
            for status, seconds in (("delivered", 1.0), ("sent", 2.0), ("read", 8.0))
            if self.statuses
        )

    def _status(self, status: str, text: Text, number: int, now: float) -> dict[str, Any]:
        recipient = {} if self.usernames else {"recipient_id": phone_of(text.conversation)}
        return {
            "id": self._sent_id(text, number),
            "status": status,
            "timestamp": str(int(now)),
            "recipient_user_id": self._user_id(text.conversation),
            **recipient,
        }

    def _sent_id(self, text: Text, number: int) -> str:
        return "wamid." + b64encode(token("whatsapp sent", text.conversation, number, octets=30)).decode()

    def not_sent(self) -> HttpResponse:
        """S: one of the codes for faults that pass."""
        return _error(500, 131000, "Something went wrong")

    def limited(self, seconds: float) -> HttpResponse:
        """S: the limit of pairs."""
        return _error(400, 131056, "(Business Account, Consumer Account) pair rate limit hit")

    def address(self, conversation: str) -> str:
        """The phone number, or the id of one with a username."""
        return self._user_id(conversation) if self.usernames else phone_of(conversation)

    def conversation(self, address: str) -> str | None:
        """By the phone number, or by the id of a user."""
        if address.startswith("BR."):
            address = address[3:]
        return super().conversation(address)

    def _user_id(self, conversation: str) -> str:
        return f"BR.{phone_of(conversation)}"


def _from_meta() -> dict[str, str]:
    return {"host": PUBLIC_NAME, "user-agent": "facebookexternalua", "accept": "*/*"}


def _error(status: int, code: int, message: str, kind: str = "OAuthException") -> HttpResponse:
    error = {
        "message": f"(#{code}) {message}",
        "type": kind,
        "code": code,
        "error_data": {"messaging_product": "whatsapp", "details": message},
        "fbtrace_id": "A1b2C3d4E5f6",
    }
    return json_response(status, {"error": error})
