"""The intake: an ASGI application that takes webhooks in, and answers whoever asks for health and metrics.

    POST <webhook path>   a webhook: 200 once each of its messages is in Redis, and not before
    GET  <webhook path>   the provider verifies the address
    GET  /healthz         200 as long as the process answers
    GET  /readyz          200 if messages are taken in; else 503, and why
    GET  /metrics         Prometheus' text format

Whatever cannot be taken in is answered so that the provider delivers it again (503), or refused for good where a repetition
would be refused as well (400, 401, 403, 413, 415). No answer says more than its status: whoever is refused learns nothing.
"""

import asyncio
import json
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from time import monotonic
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import parse_qsl

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from relaysim.relay.drain import InboxUnavailable
from relaysim.relay.messages import IncomingMessage
from relaysim.relay.program.json_body import UnreadableBody, read_json
from relaysim.relay.program.program_metrics import ProgramMetrics
from relaysim.relay.program.provider import Provider
from relaysim.relay.telemetry import emit
from relaysim.relay.telemetry.events import Level

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

BODIES_HELD_MAX: Final = 32
"""So many bodies of the greatest length may be in memory at once; beyond that, webhooks are refused with 503."""

_QUERY_LENGTH_MAX: Final = 4_096
_PLAIN: Final = "text/plain; charset=utf-8"


class Relay(Protocol):
    """What takes messages in."""

    async def handle(self, message: IncomingMessage) -> object:
        """Returns once it is durable. Raises `InboxUnavailable` if it is not."""
        ...


class Limits(NamedTuple):
    """Limits of the intake.

    body_bytes    of one webhook
    body_seconds  that its body may take to arrive
    webhooks      that are taken in at once
    """

    body_bytes: int
    body_seconds: float
    webhooks: int


class _Refused(Exception):
    """A webhook is answered with this status, for a reason that the log names in a word or a sentence."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


class _Gone(Exception):
    """Whoever sent the request has gone."""


class Intake:
    """See the module.

    Args:
        relay: where messages go.
        provider: whose webhooks they are.
        path: the webhook's.
        limits: see `Limits`.
        why_not: why nothing is taken in now, each reason a sentence; nothing: it is.
        metrics, registry: what is counted, and what `/metrics` shows.
    """

    def __init__(
        self,
        relay: Relay,
        provider: Provider,
        *,
        path: str,
        limits: Limits,
        why_not: Callable[[], list[str]],
        metrics: ProgramMetrics,
        registry: CollectorRegistry,
    ) -> None:
        self._relay = relay
        self._provider = provider
        self._path = path
        self._limits = limits
        self._why_not = why_not
        self._metrics = metrics
        self._registry = registry
        self._open = 0
        self._held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        path, method = scope["path"], scope["method"]
        if path == self._path and method == "POST":
            await self._webhook(scope, receive, send)
            return
        try:
            status, body, kind = self._get(path, method, scope["query_string"])
        except Exception as error:
            _tell_of_bug("request_failed", error)
            status, body, kind = 500, "error", _PLAIN
        await _answer(send, status, body, kind, without_body=method == "HEAD")

    def _get(self, path: str, method: str, query: bytes) -> tuple[int, str | bytes, str]:
        if path not in ("/healthz", "/readyz", "/metrics", self._path):
            return 404, "not found", _PLAIN
        if method not in ("GET", "HEAD"):
            return 405, "method not allowed", _PLAIN
        if path == "/healthz":
            return 200, "alive", _PLAIN
        if path == "/readyz":
            why = self._why_not()
            return 503 if why else 200, json.dumps({"ready": not why, "why": why}), "application/json"
        if path == "/metrics":
            return 200, generate_latest(self._registry), CONTENT_TYPE_LATEST
        return self._verification(query)

    def _verification(self, query: bytes) -> tuple[int, str, str]:
        pairs = parse_qsl(query[:_QUERY_LENGTH_MAX].decode("latin-1"), keep_blank_values=True)
        challenge = self._provider.challenge(dict(pairs))
        emit("webhook_verification", "warning" if challenge is None else "info", verified=challenge is not None)
        return (403, "forbidden", _PLAIN) if challenge is None else (200, challenge, _PLAIN)

    # Webhooks

    async def _webhook(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = monotonic()
        self._open += 1
        self._metrics.webhooks_open.inc()
        try:
            status = await self._take_in(scope, receive)
        except _Gone:
            self._metrics.webhooks["gone"].inc()
            return
        except Exception as error:
            # A bug. Nothing says that the messages were taken in, so they have to come again.
            _tell_of_bug("webhook_failed", error)
            status = 500
        finally:
            self._open -= 1
            self._metrics.webhooks_open.dec()
        self._metrics.webhooks[str(status)].inc()
        await _answer(send, status, "ok" if status == 200 else "refused", _PLAIN, close=status in (408, 413))
        self._metrics.webhook_seconds.observe(monotonic() - began)

    async def _take_in(self, scope: Scope, receive: Receive) -> int:
        """Take one webhook in; returns the status of the answer."""
        try:
            self._refuse_if_impossible()
            headers = _headers(scope["headers"])
            length = self._announced(headers)
            body = await self._body(receive, length)
            await self._hand_in(headers, body)
        except _Refused as refused:
            level: Level = "error" if refused.status in (413, 503) else "warning"
            emit("webhook_refused", level, status=refused.status, why=refused.why)
            return refused.status
        return 200

    def _refuse_if_impossible(self) -> None:
        if why := self._why_not():
            raise _Refused(503, why[0])
        if self._open > self._limits.webhooks:
            raise _Refused(503, "too many webhooks at once")

    def _announced(self, headers: Mapping[str, str]) -> int | None:
        """The length that the head announces; refuses a head whose body needs not be read."""
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json" or headers.get("content-encoding", "identity").lower() != "identity":
            raise _Refused(415, "the body is not said to be plain JSON")
        given = headers.get("content-length")
        if given is None:
            return None
        if not given.isascii() or not given.isdigit():
            raise _Refused(400, "the announced length is no number")
        length = int(given)
        if length > self._limits.body_bytes:
            raise _Refused(413, "the body is too long")
        return length

    async def _body(self, receive: Receive, announced: int | None) -> bytes:
        pieces: list[bytes] = []
        held = 0
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                more = True
                while more:
                    event = await receive()
                    if event["type"] == "http.disconnect":
                        raise _Gone
                    piece = event.get("body", b"")
                    held += len(piece)
                    self._held_bytes += len(piece)
                    if held > self._limits.body_bytes:
                        raise _Refused(413, "the body is too long")
                    if self._held_bytes > BODIES_HELD_MAX * self._limits.body_bytes:
                        raise _Refused(503, "too many long bodies at once")
                    pieces.append(piece)
                    more = event.get("more_body", False)
        except TimeoutError:
            raise _Refused(408, "the body did not arrive in time") from None
        finally:
            self._held_bytes -= held
        return b"".join(pieces)

    async def _hand_in(self, headers: Mapping[str, str], body: bytes) -> None:
        """Hand everything in that a webhook holds, in its order."""
        denied = self._provider.denies_unread(headers, body)
        if denied is not None:
            raise _Refused(*denied)
        try:
            content = read_json(body)
        except UnreadableBody as error:
            raise _Refused(400, str(error)) from None
        denied = self._provider.denies(headers, content)
        if denied is not None:
            raise _Refused(*denied)
        reading = self._provider.read(content)
        for kind, count in reading.others.items():
            self._metrics.items[kind].inc(count)
            if kind in ("not_text", "not_ours", "unreadable"):
                emit("webhook_item_ignored", "warning", kind=kind, count=count)
        for message in reading.messages:
            try:
                await self._relay.handle(message)
            except InboxUnavailable as error:
                # Those before it are in Redis: as they come again with it, they are duplicates.
                raise _Refused(503, error.reason) from None
            self._metrics.items["message"].inc()


def _headers(given: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in given}


async def _answer(
    send: Send, status: int, body: str | bytes, kind: str, *, close: bool = False, without_body: bool = False
) -> None:
    content = body.encode() if isinstance(body, str) else body
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(content)).encode())]
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if without_body else content})


def _tell_of_bug(name: str, error: Exception) -> None:
    """Where it happened and what it was; not its text, which may quote what was sent."""
    lines = [(frame.f_globals.get("__name__", ""), line) for frame, line in traceback.walk_tb(error.__traceback__)]
    where = [f"{module}:{line}" for module, line in lines if str(module).startswith("relaysim.relay.")]
    emit(name, "error", error=type(error).__name__, where=where)
