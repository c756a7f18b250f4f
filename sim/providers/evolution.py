"""Evolution API v2, a server on top of Baileys. Grades as in `relaysim.sim.providers.provider`.

| what | is so | grade |
|---|---|---|
| body | `messages.upsert` with `data.key.id`; nothing is signed, the instance's `apikey` comes along | C |
| acknowledged by | any 2xx | C |
| deadline | 60 s | S |
| repeats | ten tries; 5 s before the first repeat, doubling up to 300 s, each 20 % shorter or longer | S |
| final | 400, 401, 403, 404 and 422 are not repeated | S |
| one person, two names | `...@lid` in place of `...@s.whatsapp.net`, with the other in `remoteJidAlt` | W |
| echoes | the bot's own texts come to its webhook, with `fromMe: true` | C |
| the answer to a text | 201 with `key.id` | S |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from relaysim.sim.providers import fields
from relaysim.sim.providers.http import HttpRequest, HttpResponse, json_bytes, json_response
from relaysim.sim.providers.provider import (
    PUBLIC_NAME,
    Attempt,
    CustomerMessage,
    Done,
    Notification,
    Provider,
    Text,
    display_name,
    number_of,
    phone_of,
    token,
)

_FINAL = frozenset({400, 401, 403, 404, 422})
_LID_BASE = 184_000_000_000_000


class Evolution(Provider):
    """Evolution API."""

    kind: Literal["evolution"] = Field(default="evolution", description="this provider")
    secret: str = fields.secret("the instance's apikey")
    deadline_seconds: float = fields.deadline(60.0)
    repeat_seconds: tuple[float, ...] = fields.repeats(5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0, 300.0)
    repeat_jitter: float = fields.jitter(0.2)
    instance: str = Field(default="relaysim", min_length=1, description="the instance's name")
    host: str = Field(
        default="evolution-api",
        pattern=r"^[A-Za-z0-9.-]+$",
        description="the host name of its server, without the port",
    )
    lid_share: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of messages whose sender is named by `@lid`, not by the phone number",
    )

    echoes: bool = Field(default=True, description="the webhook also gets the bot's own texts, as messages `fromMe`")

    hosts: ClassVar[tuple[str, ...]] = ("evolution-api",)

    @property
    def sending_hosts(self) -> tuple[str, ...]:
        """The server's own."""
        return (self.host,)

    @property
    def environment(self) -> Mapping[str, str]:
        """Under the names that public bots use."""
        return {
            **dict.fromkeys(("EVOLUTION_API_URL", "EVOLUTION_URL", "EVOLUTION_BASE_URL"), f"http://{self.host}:8080"),
            **dict.fromkeys(("EVOLUTION_API_KEY", "EVOLUTION_APIKEY", "AUTHENTICATION_API_KEY"), self.secret),
            **dict.fromkeys(("EVOLUTION_INSTANCE", "EVOLUTION_INSTANCE_NAME", "INSTANCE_NAME"), self.instance),
        }

    def webhook(self, messages: Sequence[CustomerMessage], attempt: Attempt) -> HttpRequest:
        """C: one message in a request. A repeat is the same to the byte."""
        (message,) = messages
        phone, lid = self._jid(message.conversation), f"{_LID_BASE + number_of(message.conversation)}@lid"
        key: dict[str, Any] = {"remoteJid": phone, "fromMe": False, "id": self.message_id(message.id)}
        if int.from_bytes(token("evolution lid", message.id, octets=4), "big") < self.lid_share * 2**32:
            key |= {"remoteJid": lid, "remoteJidAlt": phone, "addressingMode": "lid"}
        name = display_name(message.conversation)
        return self._upsert(key, name, "DELIVERY_ACK", message.text, message.sent_at)

    def _upsert(self, key: Mapping[str, Any], name: str, status: str, text: str, at: float) -> HttpRequest:
        content = {
            "event": "messages.upsert",
            "instance": self.instance,
            "data": {
                "key": key,
                "pushName": name,
                "status": status,
                "message": {"conversation": text},
                "messageType": "conversation",
                "messageTimestamp": int(at),
                "instanceId": "6f4b1c1e-7a53-4d6c-9a57-0c3a1c7e2b10",
                "source": "android",
            },
            "destination": self.url,
            "server_url": f"http://{self.host}:8080",
            "apikey": self.secret,
        }
        headers = {"host": PUBLIC_NAME, "user-agent": "axios/1.7.9", "content-type": "application/json"}
        return HttpRequest("POST", self.url, headers, json_bytes(content))

    def message_id(self, message_id: str) -> str:
        """What the provider calls a message of the world."""
        return token("evolution", message_id, octets=10).hex().upper()

    def is_final(self, response: HttpResponse) -> bool:
        """S: the list of statuses after which nothing is tried again."""
        return response.status in _FINAL

    def read(self, request: HttpRequest) -> Text | Done:
        """S: `sendText`, in the forms of versions 1 and 2; presence and marks "read" send nothing."""
        if not request.headers.get("apikey"):
            return Done(_error(401, "Unauthorized", "Unauthorized"))
        group, _, rest = request.path.lstrip("/").partition("/")
        if request.method != "POST" or group not in ("message", "chat") or not rest.endswith(f"/{self.instance}"):
            return Done(_error(404, "Not Found", f"Cannot {request.method} {request.path}"))
        if rest.partition("/")[0] != "sendText":
            return Done(json_response(201, {"message": "done"}))
        given = request.parameters
        nested = given.get("textMessage")
        text = given.get("text") or (nested.get("text") if isinstance(nested, dict) else None)
        if not isinstance(text, str) or not text:
            return Done(_error(400, "Bad Request", 'instance requires property "text"'))
        to = str(given.get("number") or "")
        conversation = self.conversation(to)
        if conversation is None:
            return Done(_error(400, "Bad Request", [{"jid": to, "exists": False, "number": to}]))
        return Text(conversation, text)

    def sent(self, text: Text, number: int, now: float) -> HttpResponse:
        """S: on its way."""
        content = {
            "key": self._sent_key(text, number),
            "status": "PENDING",
            "message": {"conversation": text.text},
            "messageType": "conversation",
            "messageTimestamp": int(now),
        }
        return json_response(201, content)

    def notifications(self, text: Text, number: int, now: float) -> tuple[Notification, ...]:
        """C: the bot's own text comes back as a message `fromMe`. A bot that does not look at that answers itself."""
        if not self.echoes:
            return ()
        echo = self._upsert(self._sent_key(text, number), "Bot", "SERVER_ACK", text.text, now)
        return (Notification(0.5, echo),)

    def _sent_key(self, text: Text, number: int) -> dict[str, Any]:
        identifier = token("evolution sent", text.conversation, number, octets=10).hex().upper()
        return {"remoteJid": self._jid(text.conversation), "fromMe": True, "id": identifier}

    def not_sent(self) -> HttpResponse:
        """W: the connection to WhatsApp is away."""
        return _error(500, "Internal Server Error", "Connection Closed")

    def address(self, conversation: str) -> str:
        """The phone number; bots also send to the whole name of a chat."""
        return phone_of(conversation)

    def conversation(self, address: str) -> str | None:
        """By the phone number or by `@lid`."""
        head, _, kind = address.partition("@")
        if kind == "lid" and head.isascii() and head.isdigit() and len(head) <= 20:
            return f"c{int(head) - _LID_BASE}" if 0 < int(head) - _LID_BASE <= 1_000_000 else None
        return super().conversation(address)

    def _jid(self, conversation: str) -> str:
        return f"{phone_of(conversation)}@s.whatsapp.net"


def _error(status: int, name: str, message: object) -> HttpResponse:
    return json_response(status, {"status": status, "error": name, "response": {"message": message}})
