"""What an API tells of its turns by itself: signed events to an endpoint, each until that has acknowledged it.

An event is delivered over HTTP as Standard Webhooks has it: headers `webhook-id`, `webhook-timestamp` and
`webhook-signature`, which is `v1,` and the base64 of an HMAC-SHA256 over "id.timestamp.body" (read in the SDK 3.54.0; its
`client.webhooks.unwrap` refuses a timestamp that is more than 300 s off). An attempt that is answered with anything but 2xx,
or not in time, has failed, and the event comes again, with the same id and body and a signature of its own (documented).

Not known, and assumed: how long an endpoint has (documented is "a few seconds"), how the waits grow (documented is that
they do, and end after 72 hours), how often an event that was acknowledged comes once more (public code is ready for it).

Sans-I/O: whoever makes `WebhookEvents` brings each attempt to the endpoint, and tells what became of it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

from relaysim.sim.backends.protocol import TraceSink
from relaysim.sim.kernel import Kernel
from relaysim.sim.kernel.distributions import Constant, Seconds
from relaysim.sim.trace.schema import EventDelivered

ENTITY: Final = "webhooks"
SECRET: Final = "whsec_cmVsYXlzaW0gc2lnbnMgdGhpcw=="
"""What signs events unless settings say otherwise."""
SECRET_VARIABLE: Final = "OPENAI_WEBHOOK_SECRET"
"""Where the SDK looks for the secret."""
_PREFIX: Final = "whsec_"
LATE: Final = "no answer in time"


class Signing(BaseModel):
    """How events are signed, and how long and how often an endpoint is tried."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    secret: str = Field(
        default=SECRET,
        description="signs events: `whsec_` and base64; workers find it in their client and in OPENAI_WEBHOOK_SECRET",
    )
    seconds: Seconds = Field(
        default=Constant(kind="constant", value=0.1),
        description="from a turn's end to the arrival of its event; assumed",
    )
    deadline_seconds: float = Field(
        default=5.0,
        gt=0,
        le=3600,
        description="an attempt that is not answered so long after it was sent has failed; documented as a few seconds",
    )
    first_wait_seconds: float = Field(
        default=5.0, ge=1, le=86_400, description="from a failed attempt to the next one; assumed"
    )
    factor: float = Field(default=2.0, ge=1, le=100, description="each wait is the one before it times this; assumed")
    given_up_seconds: float = Field(
        default=259_200.0,
        ge=0,
        le=2_592_000,
        description="so long after the first attempt there is none any more; documented as 72 hours",
    )
    duplicate_probability: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of events that come once more though they were acknowledged; relied on by public code, which "
        "remembers their ids",
    )

    @field_validator("secret")
    @classmethod
    def _is_one(cls, secret: str) -> str:
        try:
            key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            key = b""
        if not secret.startswith(_PREFIX) or not key:
            raise ValueError(f"must be `{_PREFIX}` and base64, such as {SECRET}")
        return secret


class EventSettings(Signing):
    """How the simulated API tells workers of the end of turns."""

    path: str = Field(
        default="/openai/webhooks",
        pattern="^/",
        description="where a web application takes events; an object takes them by `handle_webhook(payload, headers)`",
    )


class ServedEvents(Signing):
    """Where a server sends the events of the API that it simulates."""

    url: str = Field(pattern=r"^https?://[^/\s]+", description="the endpoint, whole: http or https, host, path")


def signature_of(secret: str, webhook_id: str, timestamp: int, body: bytes) -> str:
    """What `webhook-signature` says of a body: `v1,` and base64."""
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


class Event:
    """One event.

    Attributes:
        key: names its turn in keyed draws.
        turn_id: whose end it tells of.
        kind: such as `response.completed`.
        webhook_id: the same in each attempt.
        body: likewise.
        first_at: the virtual instant of the first attempt; None: there was none yet.
        attempts: how many there were.
        repeated: whether it has come once more though it was acknowledged.
    """

    __slots__ = ("attempts", "body", "first_at", "key", "kind", "repeated", "turn_id", "webhook_id")

    def __init__(self, key: str, turn_id: str, kind: str, webhook_id: str, body: bytes) -> None:
        self.key = key
        self.turn_id = turn_id
        self.kind = kind
        self.webhook_id = webhook_id
        self.body = body
        self.first_at: float | None = None
        self.attempts = 0
        self.repeated = False


class Attempt:
    """One attempt to deliver an event. Whoever carries it calls `answered` or `failed`; after its deadline that is void.

    Attributes:
        event: which.
        number: counts the event's attempts, from 1.
        headers: names in lower case.
    """

    __slots__ = ("_events", "event", "headers", "is_open", "number")

    def __init__(self, events: WebhookEvents, event: Event, number: int, headers: Mapping[str, str]) -> None:
        self._events = events
        self.event = event
        self.number = number
        self.headers = headers
        self.is_open = True

    def answered(self, status: int) -> None:
        """The endpoint has answered: 2xx acknowledges the event, all else does not, redirections included."""
        self._close(status, "" if 200 <= status < 300 else f"status {status}")

    def failed(self, reason: str) -> None:
        """The endpoint was not reached, or gave no answer."""
        self._close(0, reason)

    def _close(self, status: int, reason: str) -> None:
        if self.is_open:
            self.is_open = False
            self._events.note(self, status, reason)


class WebhookEvents:
    """All events of one simulated API.

    Args:
        kernel: its clock and draws.
        now: seconds since the Unix epoch.
        trace: told of the end of each attempt, `event.delivered`.
        settings: how they are signed and delivered.
        post: brings an attempt to the endpoint.

    Attributes:
        outstanding: events that are not acknowledged yet, nor given up.
    """

    def __init__(
        self,
        kernel: Kernel,
        now: Callable[[], float],
        trace: TraceSink,
        settings: Signing,
        post: Callable[[Attempt], None],
    ) -> None:
        self._kernel = kernel
        self._now = now
        self._trace = trace
        self._settings = settings
        self._post = post
        self.outstanding = 0

    def announce(self, key: str, turn_id: str, kind: str) -> None:
        """A turn has ended: its event sets off."""
        draws = self._kernel.draws
        content = {
            "id": f"evt_{draws.token(key, 'event-id', 32, 0)}",
            "object": "event",
            "created_at": int(self._now()),
            "type": kind,
            "data": {"id": turn_id},
        }
        body = json.dumps(content, separators=(",", ":")).encode()
        event = Event(key, turn_id, kind, f"wh_{draws.token(key, 'webhook-id', 32, 0)}", body)
        self.outstanding += 1
        self._kernel.at(draws.seconds(self._settings.seconds.sampler, key, "event-seconds", 0), self._send, event)

    def _send(self, event: Event) -> None:
        if event.first_at is None:
            event.first_at = self._kernel.now
        event.attempts += 1
        timestamp = int(self._now())
        headers = {
            "content-type": "application/json",
            "user-agent": "OpenAI/1.0 (+https://platform.openai.com/docs/webhooks)",
            "webhook-id": event.webhook_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature_of(self._settings.secret, event.webhook_id, timestamp, event.body),
        }
        attempt = Attempt(self, event, event.attempts, headers)
        self._kernel.at(self._settings.deadline_seconds, attempt.failed, LATE)
        self._post(attempt)

    def note(self, attempt: Attempt, status: int, reason: str) -> None:
        """An attempt has ended."""
        event, settings = attempt.event, self._settings
        self._trace.add(
            ENTITY,
            EventDelivered(
                event_id=event.webhook_id,
                event=event.kind,
                run_id=event.turn_id,
                attempt=attempt.number,
                status=status,
                reason=reason,
            ),
        )
        if reason:
            assert event.first_at is not None
            # A number of attempts that a clock has room for: the exponent stays small.
            wait = settings.first_wait_seconds * settings.factor ** (attempt.number - 1)
            if self._kernel.now + wait > event.first_at + settings.given_up_seconds:
                self.outstanding -= 1
            else:
                self._kernel.at(wait, self._send, event)
        elif not event.repeated and self._comes_once_more(event):
            event.repeated = True
            self._kernel.at(settings.first_wait_seconds, self._send, event)
        else:
            self.outstanding -= 1

    def _comes_once_more(self, event: Event) -> bool:
        probability = self._settings.duplicate_probability
        return probability > 0 and self._kernel.draws.rare(event.key, "event-duplicate", 0) < probability
