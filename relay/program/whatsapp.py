"""WhatsApp Cloud API, as Meta documents it (Graph v26.0).

| what | is so |
|---|---|
| verification | GET with `hub.mode=subscribe`, `hub.verify_token`, `hub.challenge`: the challenge comes back |
| signature | `X-Hub-Signature-256: sha256=` and the HMAC-SHA256 of the body's bytes under the app's secret |
| body | several entries, changes and messages; statuses of texts come to the same address |
| conversation | `from`, the phone number; customers with a username have none, and are known by `from_user_id` |
| a text | `POST /{phone_number_id}/messages`, 4,096 characters at most; 200 with `messages[].id` says that it was taken |
"""

import hmac
import re
from collections.abc import Mapping
from typing import Any, Final

from relaysim.relay.messages import Message
from relaysim.relay.program.provider import (
    Denied,
    Reading,
    Request,
    Sent,
    an_id,
    code_of,
    first_id,
    is_refusal,
    seconds_of,
    table,
    tables,
)

API_URL: Final = "https://graph.facebook.com/v26.0"

_SIGNATURE: Final = re.compile(r"sha256=([0-9a-fA-F]{64})")
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9._-]{1,256}")
_PHONE: Final = re.compile(r"[0-9]{1,20}")

_REFUSED_IN_5XX: Final = frozenset({1, 2, 4, 80007, 130429, 131000, 131016, 131048, 131056, 131057, 133004})
"""Codes that Graph documents for a text that it did not take, whichever status they come with."""


class WhatsApp:
    """See the module.

    Args:
        phone_number_id: the bot's number, by its id. Webhooks of an app's other numbers are not answered.
        access_token: authorises texts.
        app_secret: signs webhooks.
        verify_token: what a verification must bring along.
        api_url: where texts go, with the version.
    """

    name = "whatsapp"
    text_length_max: int | None = 4096

    def __init__(
        self, *, phone_number_id: str, access_token: str, app_secret: str, verify_token: str, api_url: str = API_URL
    ) -> None:
        self._phone_number_id = phone_number_id
        self._headers = {"authorization": f"Bearer {access_token}"}
        self._app_secret = app_secret.encode()
        self._verify_token = verify_token.encode()
        self._url = f"{api_url.rstrip('/')}/{phone_number_id}/messages"

    # Webhooks

    def challenge(self, query: Mapping[str, str]) -> str | None:
        """As `Provider.challenge`. What is given back is checked: it goes to whoever asks."""
        challenge = query.get("hub.challenge", "")
        token = query.get("hub.verify_token", "").encode(errors="backslashreplace")
        if query.get("hub.mode") != "subscribe" or not hmac.compare_digest(token, self._verify_token):
            return None
        return challenge if _CHALLENGE.fullmatch(challenge) else None

    def denies_unread(self, headers: Mapping[str, str], body: bytes) -> Denied | None:
        """As `Provider.denies_unread`: by the signature of the bytes as they came."""
        given = headers.get("x-hub-signature-256")
        if not given:
            return Denied(401, "no_signature")
        signature = _SIGNATURE.fullmatch(given.strip())
        expected = hmac.digest(self._app_secret, body, "sha256")
        if signature is None or not hmac.compare_digest(bytes.fromhex(signature[1]), expected):
            return Denied(403, "wrong_signature")
        return None

    def denies(self, headers: Mapping[str, str], content: Mapping[str, Any]) -> Denied | None:
        """As `Provider.denies`: the signature has said it all."""
        return None

    def read(self, content: Mapping[str, Any]) -> Reading:
        """As `Provider.read`."""
        reading = Reading()
        for entry in tables(content.get("entry")):
            for change in tables(entry.get("changes")):
                value = table(change.get("value"))
                if change.get("field") == "messages":
                    self._read_value(value, reading)
                else:
                    reading.others["status"] += 1
        return reading

    def _read_value(self, value: Mapping[str, Any], reading: Reading) -> None:
        statuses = value.get("statuses")
        if isinstance(statuses, list):
            reading.others["status"] += len(statuses)
        messages = value.get("messages")
        if not isinstance(messages, list):
            return
        if table(value.get("metadata")).get("phone_number_id") != self._phone_number_id:
            reading.others["not_ours"] += len(messages)
            return
        contacts = tables(value.get("contacts"))
        for message in messages:
            read = _message(table(message), contacts)
            if isinstance(read, str):
                reading.others[read] += 1
            else:
                reading.messages.append(read)

    # Texts

    def request(self, conversation: str, text: str) -> Request:
        """As `Provider.request`."""
        receiver = "to" if _PHONE.fullmatch(conversation) else "recipient"
        content = {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            receiver: conversation,
            "type": "text",
            "text": {"body": text, "preview_url": False},
        }
        return Request(self._url, self._headers, content)

    def judge(self, status: int, content: Any) -> Sent:
        """As `Provider.judge`."""
        if 200 <= status < 300:
            return Sent.TAKEN if first_id(table(content).get("messages")) else Sent.UNKNOWN
        return Sent.NOT_TAKEN if is_refusal(status) or code_of(content) in _REFUSED_IN_5XX else Sent.UNKNOWN


def _message(message: Mapping[str, Any], contacts: list[Mapping[str, Any]]) -> Message | str:
    """A customer's message, or the kind of what cannot be one."""
    message_id = an_id(message.get("id"))
    only = contacts[0] if len(contacts) == 1 else {}
    senders = (message.get("from"), message.get("from_user_id"), only.get("wa_id"), only.get("user_id"))
    conversation = next((known for each in senders if (known := an_id(each)) is not None), None)
    if message_id is None or conversation is None:
        return "unreadable"
    kind = message.get("type")
    text = _words(message, kind)
    if text is None:
        return "unreadable" if kind == "text" else "not_text"
    return Message(message_id, conversation, text, sent_at=seconds_of(message.get("timestamp")))


def _words(message: Mapping[str, Any], kind: object) -> str | None:
    """What a customer said: a text, a button or a row that was chosen, the words under a picture. None: nothing in words."""
    if not isinstance(kind, str):
        return None
    content = table(message.get(kind))
    if kind == "text":
        words = content.get("body")
    elif kind == "button":
        words = content.get("text")
    elif kind == "interactive":
        chosen = content.get("type")
        words = table(content.get(chosen)).get("title") if isinstance(chosen, str) else None
    else:
        words = content.get("caption")
    return words if isinstance(words, str) and words.strip() else None
