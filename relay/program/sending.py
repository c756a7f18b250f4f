"""One request to a provider, and what is known of its text afterwards: it was taken, surely not, or nobody knows.

No provider here takes a key of idempotency, so a text whose fate is unknown is not sent again. Hence what counts as "surely
not" is only what the provider itself says, or what never left this machine:

    taken        its answer names the text that it has taken
    surely not   no connection came about; or an answer that refuses: 3xx, 4xx but 408, an error that it documents as one
    unknown      everything else: silence, a connection that broke, 5xx of a proxy, an answer that cannot be read
"""

import asyncio
import json
from typing import Any, Final

import httpx2

from relaysim.relay.drain import DrainSettings, NotSent
from relaysim.relay.drain.retries import full_jitter
from relaysim.relay.program.program_metrics import ProgramMetrics
from relaysim.relay.program.provider import Provider, Sent, code_of
from relaysim.relay.telemetry import emit

CONNECT_SECONDS_MAX: Final = 3.0
"""A connection that takes longer than this, or than a third of the time that a text has, counts as none."""

_KEPT_SECONDS: Final = 4.0
"""Idle connections are closed after this: sooner than servers close theirs. A text that meets that has no known fate."""

_NEVER_LEFT: Final = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
    httpx2.InvalidURL,
)


class FateUnknown(Exception):
    """A text may have reached its customer, and may not."""


class ProviderSender:
    """Sends texts through a provider: a `Sender` for `drain`.

    Args:
        provider: how.
        settings: how long a text may take (`send_timeout_seconds`), and the waits before a part is offered again.
        metrics: where texts are counted.
    """

    def __init__(self, provider: Provider, settings: DrainSettings, metrics: ProgramMetrics) -> None:
        self._provider = provider
        self._settings = settings
        self._metrics = metrics
        seconds = settings.send_timeout_seconds
        # `drain` ends a send after its own time: what follows here only has to come to an end.
        self._client = httpx2.AsyncClient(
            timeout=httpx2.Timeout(seconds, connect=min(CONNECT_SECONDS_MAX, seconds / 3)),
            limits=httpx2.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=_KEPT_SECONDS),
            follow_redirects=False,
        )

    async def __call__(self, conversation: str, text: str) -> None:
        """Send a text, in parts if it is longer than the provider allows.

        Raises:
            NotSent: nothing of it has left.
            FateUnknown: nobody knows, or a part has left and the rest has not.
        """
        first, *rest = parts_of(text, self._provider.text_length_max)
        sent = await self._offer(conversation, first)
        if sent is Sent.NOT_TAKEN:
            raise NotSent("the provider did not take it")
        failures = 0
        while sent is Sent.TAKEN and rest:
            sent = await self._offer(conversation, rest[0])
            if sent is Sent.TAKEN:
                rest.pop(0)
            elif sent is Sent.NOT_TAKEN:
                # The whole must not be offered again. `drain` ends this when the time that a text has is over.
                failures += 1
                await asyncio.sleep(full_jitter(self._settings, failures))
                sent = Sent.TAKEN
        if sent is Sent.UNKNOWN:
            raise FateUnknown("whether the text arrived is not to be known")

    async def _offer(self, conversation: str, text: str) -> Sent:
        request = self._provider.request(conversation, text)
        try:
            response = await self._client.post(request.url, headers=request.headers, json=request.content)
        except _NEVER_LEFT as error:
            return self._note(Sent.NOT_TAKEN, conversation, error=type(error).__name__)
        except httpx2.HTTPError as error:
            return self._note(Sent.UNKNOWN, conversation, error=type(error).__name__)
        except asyncio.CancelledError:
            self._note(Sent.UNKNOWN, conversation, error="out of time")
            raise
        content = _json_of(response)
        sent = self._provider.judge(response.status_code, content)
        return self._note(sent, conversation, status=response.status_code, code=code_of(content))

    def _note(self, sent: Sent, conversation: str, **what: str | int | None) -> Sent:
        self._metrics.texts[sent].inc()
        if sent is not Sent.TAKEN:
            name = "text_refused" if sent is Sent.NOT_TAKEN else "text_fate_unknown"
            fields: dict[str, Any] = {"provider": self._provider.name, **what}
            emit(name, "warning", conversation=conversation, **fields)
        return sent

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def parts_of(text: str, length_max: int | None) -> list[str]:
    """A text in parts of at most so many characters: cut between paragraphs, else lines, else words, else anywhere."""
    parts = []
    while length_max is not None and len(text) > length_max:
        head = text[: length_max + 1]
        at = next((at for mark in ("\n\n", "\n", " ") if (at := head.rfind(mark)) > length_max // 2), length_max)
        parts.append(text[:at])
        text = text[at:].lstrip()
    return [*parts, text] if text or not parts else parts


def _json_of(response: httpx2.Response) -> Any:
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        return None
