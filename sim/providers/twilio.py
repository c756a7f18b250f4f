"""Twilio's messaging webhooks, for SMS and for WhatsApp. Grades as in `relaysim.sim.providers.provider`.

| what | is so | grade |
|---|---|---|
| body | a form; the message's id is `MessageSid` | S |
| signature | `X-Twilio-Signature`: base64 of HMAC-SHA1 over the whole URL and the sorted fields | S |
| acknowledged by | any 2xx | S |
| deadline | 15 s, for all tries together | S |
| repeats | by default one, and only where no connection came about | S, the default second-hand |
| its key | `I-Twilio-Idempotency-Token`, the same in the repeat | S |
| reply in the response | TwiML (as XML or HTML) or `text/plain` is sent to the customer | S |
| a text's length | 1600 characters, else error 21617 | S |
| limits | texts beyond them wait in a queue of up to 4 hours, so none is refused here | S |
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha1
from math import inf
from typing import ClassVar, Literal
from urllib.parse import urlencode
from xml.etree import ElementTree

from pydantic import Field

from relaysim.sim.providers import fields
from relaysim.sim.providers.fields import Failure
from relaysim.sim.providers.http import HttpRequest, HttpResponse, json_response
from relaysim.sim.providers.provider import (
    PUBLIC_NAME,
    Attempt,
    CustomerMessage,
    Done,
    Provider,
    Text,
    display_name,
    header_is_set,
    phone_of,
    token,
)

_TEXT_MAX = 1600
_OWN_NUMBER = "+14155238886"


class Twilio(Provider):
    """Twilio."""

    kind: Literal["twilio"] = Field(default="twilio", description="this provider")
    secret: str = fields.secret("the account's auth token")
    deadline_seconds: float = fields.deadline(15.0)
    repeat_seconds: tuple[float, ...] = fields.repeats(0.0)
    repeat_after: tuple[Failure, ...] = fields.repeats_after("unreachable")
    channel: Literal["whatsapp", "sms"] = Field(default="whatsapp", description="what customers write with")
    account_sid: str = Field(default="AC" + "0123456789abcdef" * 2, description="the account")

    hosts: ClassVar[tuple[str, ...]] = ("api.twilio.com",)

    @property
    def order_seconds(self) -> float:
        """There is no time in a webhook."""
        return inf

    @property
    def environment(self) -> Mapping[str, str]:
        """Under the names of Twilio's documentation."""
        return {
            "TWILIO_ACCOUNT_SID": self.account_sid,
            "TWILIO_AUTH_TOKEN": self.secret,
            **dict.fromkeys(
                ("TWILIO_PHONE_NUMBER", "TWILIO_WHATSAPP_NUMBER", "TWILIO_FROM"), self._prefixed(_OWN_NUMBER)
            ),
        }

    def webhook(self, messages: Sequence[CustomerMessage], attempt: Attempt) -> HttpRequest:
        """S: one message in a request."""
        (message,) = messages
        sid = self.message_id(message.id)
        fields = {
            "SmsMessageSid": sid,
            "NumMedia": "0",
            "ProfileName": display_name(message.conversation),
            "MessageType": "text",
            "SmsSid": sid,
            "WaId": phone_of(message.conversation),
            "SmsStatus": "received",
            "Body": message.text,
            "To": self._prefixed(_OWN_NUMBER),
            "NumSegments": "1",
            "MessageSid": sid,
            "AccountSid": self.account_sid,
            "From": self.address(message.conversation),
            "ApiVersion": "2010-04-01",
        }
        if self.channel == "sms":
            del fields["WaId"], fields["ProfileName"]
        signed = self.url + "".join(f"{name}{value}" for name, value in sorted(fields.items()))
        signature = b64encode(hmac.new(self.secret.encode(), signed.encode(), sha1).digest()).decode()
        headers = {
            "host": PUBLIC_NAME,
            "user-agent": "TwilioProxy/1.1",
            "content-type": "application/x-www-form-urlencoded; charset=UTF-8",
            "i-twilio-idempotency-token": token("twilio", message.id).hex(),
            "x-twilio-signature": signature,
        }
        return HttpRequest("POST", self.url, headers, urlencode(fields).encode())

    def message_id(self, message_id: str) -> str:
        """What the provider calls a message of the world."""
        return "SM" + token("twilio message", message_id).hex()

    def replies(self, response: HttpResponse, message: CustomerMessage) -> tuple[Text, ...]:
        """S: each `<Message>` of a TwiML document, or the whole of a plain text."""
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        body = response.body.decode(errors="replace")
        if kind == "text/plain":
            texts = [body]
        elif kind in ("text/xml", "application/xml", "text/html"):
            texts = _texts_of_twiml(body)
        else:
            texts = []
        return tuple(Text(message.conversation, text) for text in texts if text.strip())

    def read(self, request: HttpRequest) -> Text | Done:
        """S: a new message of the account, or "is typing"."""
        if not header_is_set(request.headers, "authorization", ("Basic ",)):
            return Done(_error(401, 20003, "Authenticate"))
        given = request.parameters
        if request.method == "POST" and request.path.endswith("/Indicators/Typing.json"):
            return Done(json_response(200, {"success": True}))
        if request.method != "POST" or not request.path.endswith(f"/Accounts/{self.account_sid}/Messages.json"):
            return Done(_error(404, 20404, f"The requested resource {request.path} was not found"))
        conversation = self.conversation(str(given.get("To") or ""))
        if conversation is None:
            return Done(_error(400, 21211, "The 'To' number is not a valid phone number."))
        text = given.get("Body")
        if not isinstance(text, str) or not text:
            return Done(_error(400, 21619, "A text message body or media urls must be specified."))
        if len(text) > _TEXT_MAX:
            return Done(_error(400, 21617, "The concatenated message body exceeds the 1600 character limit"))
        return Text(conversation, text)

    def sent(self, text: Text, number: int, now: float) -> HttpResponse:
        """S: queued."""
        content = {
            "sid": "SM" + token("twilio sent", text.conversation, number).hex(),
            "account_sid": self.account_sid,
            "status": "queued",
            "to": self.address(text.conversation),
            "from": self._prefixed(_OWN_NUMBER),
            "body": text.text,
            "num_segments": "1",
            "num_media": "0",
            "direction": "outbound-api",
            "api_version": "2010-04-01",
            "error_code": None,
            "error_message": None,
            "price": None,
            "date_created": None,
            "uri": f"/2010-04-01/Accounts/{self.account_sid}/Messages.json",
        }
        return json_response(201, content)

    def not_sent(self) -> HttpResponse:
        """S: a fault of the service."""
        return _error(503, 20503, "Service unavailable")

    def address(self, conversation: str) -> str:
        """With a plus sign, and before it the channel's name."""
        return self._prefixed(f"+{phone_of(conversation)}")

    def _prefixed(self, phone: str) -> str:
        return f"whatsapp:{phone}" if self.channel == "whatsapp" else phone


def _texts_of_twiml(document: str) -> list[str]:
    try:
        root = ElementTree.fromstring(document)
    except ElementTree.ParseError:
        return []  # Twilio notes error 12100 and sends nothing
    if root.tag != "Response":
        return []
    texts = []
    for message in root:
        if message.tag in ("Message", "Sms"):
            body = message.find("Body")
            texts.append(((message if body is None else body).text or "").strip())
    return texts


def _error(status: int, code: int, message: str) -> HttpResponse:
    content = {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return json_response(status, content)
