"""A provider that the scenario describes: for a channel of one's own, or one that has no module here.

    [provider]
    kind = "custom"
    path = "/inbound"
    body = { message = { id = "{id}", from = "{address}", text = "{text}", at = "{timestamp}" } }
    headers = { x-signature = "sha256={signature}" }
    signature = "sha256"
    deadline_seconds = 10
    repeat_seconds = [5, 30, 300]
    send_host = "api.channel.example"
    send_path = "/v1/messages"
    send_to = "recipient.id"
    send_text = "content.body"

In values of `body`, `headers` and `response` the names in braces stand for: `{id}` of the message, `{address}` of the
customer, `{text}`, `{timestamp}` (whole seconds), `{name}` of the customer, `{secret}`, and in headers `{signature}` of the
body.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence
from math import inf
from typing import Any, Final, Literal
from urllib.parse import urlencode

from pydantic import Field, field_validator, model_validator

from relaysim.sim.providers.http import HttpRequest, HttpResponse, json_bytes, json_response
from relaysim.sim.providers.provider import (
    PUBLIC_NAME,
    Attempt,
    CustomerMessage,
    Done,
    Limit,
    Provider,
    Text,
    display_name,
    phone_of,
    token,
)

_NAMES: Final = ("id", "address", "text", "timestamp", "name", "secret", "signature")
_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


class Custom(Provider):
    """A channel of one's own."""

    kind: Literal["custom"] = Field(default="custom", description="this provider")
    encoding: Literal["json", "form"] = Field(default="json", description="how the body is written")
    body: dict[str, Any] = Field(
        default={"id": "{id}", "from": "{address}", "text": "{text}", "timestamp": "{timestamp}"},
        description="the body's fields, with names in braces that stand for parts of the message",
    )
    headers: dict[str, str] = Field(default={}, description="headers of the webhook besides those of every request")
    signature: Literal["sha1", "sha256", "sha512"] = Field(
        default="sha256", description="the hash of `{signature}`, the hexadecimal HMAC of the body under the secret"
    )
    acknowledged_by: tuple[int, ...] = Field(default=(), description="statuses that acknowledge; absent: any 2xx")
    final_statuses: tuple[int, ...] = Field(default=(), description="other statuses after which nothing is repeated")
    send_host: str = Field(
        default="channel.example.com",
        pattern=r"^[A-Za-z0-9.-]+$",
        description="the host name at which texts are sent, without the port",
    )
    send_path: str = Field(default="/messages", pattern=r"^/\S*$", description="the path to which texts are posted")
    send_to: str = Field(
        default="to", min_length=1, description="the field that names the customer, e.g. `recipient.id`"
    )
    send_text: str = Field(default="text", min_length=1, description="the field with the text, e.g. `content.body`")
    response_status: int = Field(default=200, ge=200, le=299, description="of the response to a text that was taken")
    response: dict[str, Any] = Field(default={"id": "{id}"}, description="the body of that response")
    seconds_between_texts: float | None = Field(
        default=None, gt=0, le=86_400, description="a customer's limit in the long run; beyond it 429. Absent: none"
    )
    texts_at_once: int = Field(default=1, ge=1, le=10_000, description="with such a limit: texts that pass at once")

    @field_validator("body", "response")
    @classmethod
    def _are_known(cls, template: dict[str, Any]) -> dict[str, Any]:
        _check(template, [name for name in _NAMES if name != "signature"])
        return template

    @field_validator("headers")
    @classmethod
    def _are_headers(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not _HEADER.fullmatch(name) or not value.isprintable() or not value.isascii():
                raise ValueError(
                    f"{name!r} = {value!r} is no header: names and values are of printable ASCII characters"
                )
        _check(headers, [name for name in _NAMES if name != "text"])
        return headers

    @model_validator(mode="after")
    def _form_is_flat(self) -> Custom:
        if self.encoding == "form" and any(isinstance(value, dict | list) for value in self.body.values()):
            raise ValueError(
                "a form's fields are texts and numbers: leave tables out of `body`, or write encoding = 'json'"
            )
        return self

    @property
    def sending_hosts(self) -> tuple[str, ...]:
        """The one that was given."""
        return (self.send_host,)

    @property
    def sending_limit(self) -> Limit | None:
        """The one that was given."""
        return None if self.seconds_between_texts is None else Limit(self.seconds_between_texts, self.texts_at_once)

    @property
    def order_seconds(self) -> float:
        """In whole seconds, if the body says it at all."""
        return 1.0 if "{timestamp}" in str(self.body) else inf

    @property
    def environment(self) -> Mapping[str, str]:
        """Names that fit any channel; a scenario's own are in `[environment]`."""
        return {"WEBHOOK_SECRET": self.secret, "CHANNEL_URL": f"https://{self.send_host}"}

    def webhook(self, messages: Sequence[CustomerMessage], attempt: Attempt) -> HttpRequest:
        """As the tables say."""
        (message,) = messages
        values = {
            "id": token("custom", message.id).hex(),
            "address": self.address(message.conversation),
            "text": message.text,
            "timestamp": str(int(message.sent_at)),
            "name": display_name(message.conversation),
            "secret": self.secret,
        }
        content = _filled(self.body, values)
        body = urlencode(content).encode() if self.encoding == "form" else json_bytes(content)
        values["signature"] = hmac.new(self.secret.encode(), body, self.signature).hexdigest()
        kind = "application/x-www-form-urlencoded" if self.encoding == "form" else "application/json"
        given = {name.lower(): _filled(value, values) for name, value in self.headers.items()}
        return HttpRequest("POST", self.url, {"host": PUBLIC_NAME, "content-type": kind, **given}, body)

    def acknowledges(self, response: HttpResponse) -> bool:
        """By the statuses that were given."""
        return response.status in self.acknowledged_by if self.acknowledged_by else super().acknowledges(response)

    def is_final(self, response: HttpResponse) -> bool:
        """By the statuses that were given."""
        return response.status in self.final_statuses

    def read(self, request: HttpRequest) -> Text | Done:
        """Any POST to the path is a text; everything else is not there."""
        if request.method != "POST" or request.path != self.send_path:
            return Done(json_response(404, {"error": f"{request.method} {request.path} is not there"}))
        given = request.parameters
        to, text = _at(given, self.send_to), _at(given, self.send_text)
        conversation = self.conversation(str(to))
        if conversation is None:
            return Done(json_response(400, {"error": f"{self.send_to} names no customer"}))
        if not isinstance(text, str) or not text:
            return Done(json_response(400, {"error": f"{self.send_text} is no text"}))
        return Text(conversation, text)

    def sent(self, text: Text, number: int, now: float) -> HttpResponse:
        """As the tables say."""
        values = {
            "id": token("custom sent", text.conversation, number).hex(),
            "address": self.address(text.conversation),
            "text": text.text,
            "timestamp": str(int(now)),
            "name": display_name(text.conversation),
            "secret": self.secret,
        }
        return json_response(self.response_status, _filled(self.response, values))

    def not_sent(self) -> HttpResponse:
        """Status 503."""
        return json_response(503, {"error": "unavailable"})

    def limited(self, seconds: float) -> HttpResponse:
        """Status 429, with the wait in seconds."""
        return json_response(429, {"error": "too many texts"}, retry_after=f"{seconds:.0f}")

    def address(self, conversation: str) -> str:
        """A phone number."""
        return phone_of(conversation)


def _check(template: Any, known: Sequence[str]) -> None:
    if isinstance(template, str):
        for name in _PLACEHOLDER.findall(template):
            if name not in known:
                raise ValueError(
                    f"{{{name}}} stands for nothing; there are {', '.join(f'{{{each}}}' for each in known)}"
                )
    elif isinstance(template, dict):
        for value in template.values():
            _check(value, known)
    elif isinstance(template, list):
        for value in template:
            _check(value, known)


def _filled(template: Any, values: Mapping[str, str]) -> Any:
    if isinstance(template, str):
        return _PLACEHOLDER.sub(lambda found: values[found[1]], template)
    if isinstance(template, dict):
        return {name: _filled(value, values) for name, value in template.items()}
    if isinstance(template, list):
        return [_filled(value, values) for value in template]
    return template


def _at(content: Any, dotted: str) -> Any:
    for name in dotted.split("."):
        content = content.get(name) if isinstance(content, dict) else None
    return content
