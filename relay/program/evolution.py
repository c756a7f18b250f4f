"""Evolution API v2, a server on top of Baileys, as its source and documentation have it.

| what | is so |
|---|---|
| body | `messages.upsert` with `data.key.id`, one message; other events come to the same address |
| who sends it | nothing is signed: the instance's `apikey` stands in the body, and headers of one's own can be configured |
| repeats | ten tries in about 20 minutes; none after 400, 401, 403, 404 and 422 |
| echoes | the bot's own texts come back with `fromMe: true` |
| conversation | `key.remoteJid`; one person may also come as `...@lid`, with the phone number in `remoteJidAlt` |
| a text | `POST /message/sendText/{instance}` with header `apikey`; 201 with `key.id` says that it was taken |
"""

import hmac
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from relaysim.relay.messages import Message
from relaysim.relay.program.provider import Denied, Reading, Request, Sent, an_id, is_refusal, seconds_of, table

_PHONE_SERVER: Final = "s.whatsapp.net"
_WAITING_FOR_CONNECTION: Final = "Connection Closed"
_CAPTIONED: Final = ("imageMessage", "videoMessage", "documentMessage")


class Evolution:
    """See the module.

    Args:
        instance: the instance's name. Webhooks of others are not answered.
        api_url: the server's address.
        api_key: authorises texts.
        webhook_secret: what proves a webhook: in its body as `apikey`, or in a header, `apikey` or `authorization: Bearer`.
    """

    name = "evolution"
    text_length_max: int | None = None

    def __init__(self, *, instance: str, api_url: str, api_key: str, webhook_secret: str) -> None:
        self._instance = instance
        self._headers = {"apikey": api_key}
        self._secret = webhook_secret.encode()
        self._url = f"{api_url.rstrip('/')}/message/sendText/{quote(instance, safe='')}"

    # Webhooks

    def challenge(self, query: Mapping[str, str]) -> str | None:
        """As `Provider.challenge`: this provider asks nothing."""
        return None

    def denies_unread(self, headers: Mapping[str, str], body: bytes) -> Denied | None:
        """As `Provider.denies_unread`: by a header, if there is one."""
        given = _secret_in(headers)
        return None if given is None or self._is_secret(given) else Denied(403, "wrong_secret")

    def denies(self, headers: Mapping[str, str], content: Mapping[str, Any]) -> Denied | None:
        """As `Provider.denies`: by the body, unless a header has proved it."""
        if _secret_in(headers) is not None:
            return None
        given = content.get("apikey")
        if not isinstance(given, str) or not given:
            return Denied(401, "no_secret")
        return None if self._is_secret(given) else Denied(403, "wrong_secret")

    def _is_secret(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(errors="backslashreplace"), self._secret)

    def read(self, content: Mapping[str, Any]) -> Reading:
        """As `Provider.read`."""
        reading = Reading()
        event = content.get("event")
        if not isinstance(event, str) or event.lower().replace("_", ".") != "messages.upsert":
            reading.others["status"] += 1
            return reading
        data = content.get("data")
        for each in data if isinstance(data, list) else [data]:
            read = "not_ours" if content.get("instance") != self._instance else _message(table(each))
            if isinstance(read, str):
                reading.others[read] += 1
            else:
                reading.messages.append(read)
        return reading

    # Texts

    def request(self, conversation: str, text: str) -> Request:
        """As `Provider.request`."""
        return Request(self._url, self._headers, {"number": conversation, "text": text})

    def judge(self, status: int, content: Any) -> Sent:
        """As `Provider.judge`."""
        if 200 <= status < 300:
            sent_id = table(table(content).get("key")).get("id")
            return Sent.TAKEN if isinstance(sent_id, str) and sent_id else Sent.UNKNOWN
        if is_refusal(status):
            return Sent.NOT_TAKEN
        # The server has no connection to WhatsApp, and found that out before it sent anything.
        said = table(table(content).get("response")).get("message")
        return Sent.NOT_TAKEN if _WAITING_FOR_CONNECTION in _flat(said) else Sent.UNKNOWN


def _secret_in(headers: Mapping[str, str]) -> str | None:
    given = headers.get("apikey")
    if given is None:
        scheme, _, rest = headers.get("authorization", "").partition(" ")
        given = rest.strip() if scheme.lower() == "bearer" else None
    return given


def _flat(said: object) -> str:
    return " ".join(each for each in said if isinstance(each, str)) if isinstance(said, list) else str(said)


def _message(data: Mapping[str, Any]) -> Message | str:
    """A customer's message, or the kind of what cannot be one."""
    key = table(data.get("key"))
    if key.get("fromMe") is True:
        return "own"
    message_id, address = an_id(key.get("id")), an_id(key.get("remoteJid"))
    if message_id is None or address is None or "@" not in address:
        return "unreadable"
    other = an_id(key.get("remoteJidAlt")) or ""
    if address.endswith("@lid") and other.endswith(f"@{_PHONE_SERVER}"):
        address = other
    name, _, server = address.partition("@")
    name = name.partition(":")[0]  # what follows is the device
    if server not in (_PHONE_SERVER, "lid") or not name:
        return "not_ours"  # groups, broadcasts, channels
    conversation = name if server == _PHONE_SERVER else f"{name}@{server}"
    text = _words(table(data.get("message")))
    if text is None:
        return "not_text"
    return Message(message_id, conversation, text, sent_at=seconds_of(data.get("messageTimestamp")))


def _words(message: Mapping[str, Any]) -> str | None:
    """What a customer said: a text, a button or a row that was chosen, the words under a picture. None: nothing in words."""
    if "ephemeralMessage" in message:
        message = table(table(message["ephemeralMessage"]).get("message"))
    candidates = (
        message.get("conversation"),
        table(message.get("extendedTextMessage")).get("text"),
        table(message.get("buttonsResponseMessage")).get("selectedDisplayText"),
        table(message.get("listResponseMessage")).get("title"),
        *(table(message.get(kind)).get("caption") for kind in _CAPTIONED),
    )
    return next((each for each in candidates if isinstance(each, str) and each.strip()), None)
