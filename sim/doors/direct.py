"""The door of the `direct` lane: the calls a relay makes, without the SDK's code, HTTP and JSON between.

For large counts. `DirectClient` stands in for `AsyncOpenAI`: its options, the retry loop (SDK 3.54 source) and the
exceptions are the SDK's; the methods are the backend's, see `Backend.direct_client`. Network, faults and service are those
of the other lane, so both leave the same trace. Whatever else the SDK can do raises `NotInDirectLaneError`.

What comes back are light objects: attributes read the API's dict, nested objects are wrapped when they are asked for.
Differences that a relay can see if it looks: types (`Record`, not pydantic models), and `err.response` and
`err.request` are stand-ins that build the real httpx2 object when first used.

What the SDK has for other endpoints (`client.chat`, `client.audio`) is the SDK's own code in this lane too, on the transport
of lane `sdk`: relays call it rarely beside their conversations.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import httpx2
from openai._constants import DEFAULT_MAX_RETRIES, DEFAULT_TIMEOUT
from openai._types import NotGiven, Omit, not_given, omit

from relaysim.sim.backends.calls import Answer, Call
from relaysim.sim.doors.arrivals import BrokenAnswer, StreamedAnswer
from relaysim.sim.doors.direct_errors import body_error, error_of, head_of, may_retry, retry_seconds
from relaysim.sim.doors.direct_records import Record
from relaysim.sim.doors.direct_streams import RecordStream
from relaysim.sim.doors.network import Network
from relaysim.sim.doors.transport import SimTransport, openai_client
from relaysim.sim.kernel import Host, SimulatorError, place_of_caller

OMIT: Final = omit
NOT_GIVEN: Final = not_given
"""What stands for an argument that was not given, as in the SDK's signatures: this for `timeout`, `OMIT` for all others."""

_OTHER_RESOURCES: Final = frozenset(
    (
        *("audio", "batches", "chat", "completions", "containers", "conversations", "embeddings", "evals", "files"),
        *(
            "fine_tuning",
            "images",
            "models",
            "moderations",
            "realtime",
            "responses",
            "uploads",
            "vector_stores",
            "videos",
            "webhooks",
        ),
    )
)
"""The SDK's resources, of which a backend's own stand in front of these."""

ABSENT: Final = (Omit, NotGiven)
"""The classes of both."""


class NotInDirectLaneError(SimulatorError, AttributeError, NotImplementedError):
    """The SDK has it, the direct lane has not.

    It is noted besides, among the world's calls that nothing answers: code that swallows it must not be judged for what came
    of it.
    """

    noted: ClassVar[list[tuple[str, str, str]]] = []
    """Where it is noted, as `Network.unknown`: that of the world whose clients were made last."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not in the direct lane: use lane sdk")
        self.noted.append(("", what, place_of_caller()))


class DirectClient:
    """Stands in for `openai.AsyncOpenAI` in one worker.

    Args:
        host: the worker.
        network: latencies, faults and the service.
        max_retries: attempts after the first; the SDK's default is 2.
        timeout: seconds, an `httpx2.Timeout`, or None for ever; the SDK's default is 600 s (5 s to connect).
    """

    def __init__(
        self,
        host: Host,
        network: Network,
        *,
        max_retries: int = DEFAULT_MAX_RETRIES,
        timeout: float | httpx2.Timeout | None = DEFAULT_TIMEOUT,
    ) -> None:
        self._host = host
        self._network = network
        self.max_retries = max_retries
        self.timeout = timeout
        self._limits = _read_and_connect(timeout)
        self._sdk: Any = None
        NotInDirectLaneError.noted = network.unknown
        self.webhook_secret: str | None = None
        vars(self).update(network.service.backend.direct_client(self._request))

    def __getattr__(self, name: str) -> Any:
        if name not in _OTHER_RESOURCES:
            raise NotInDirectLaneError(f"client.{name}")
        if self._sdk is None:
            transport = SimTransport(self._host, self._network)
            client = openai_client(transport, self._network.service.backend.base_url)
            self._sdk = client.with_options(timeout=self.timeout, max_retries=self.max_retries)
            self._sdk.webhook_secret = self.webhook_secret
        return getattr(self._sdk, name)

    def with_options(
        self,
        *,
        timeout: float | httpx2.Timeout | NotGiven | None = not_given,
        max_retries: int | NotGiven = not_given,
        **others: Any,
    ) -> DirectClient:
        """A client with another timeout or number of retries."""
        if others:
            raise NotInDirectLaneError(f"with_options({', '.join(others)})")
        client = DirectClient(
            self._host,
            self._network,
            max_retries=self.max_retries if isinstance(max_retries, NotGiven) else max_retries,
            timeout=self.timeout if isinstance(timeout, NotGiven) else timeout,
        )
        client.webhook_secret = self.webhook_secret
        return client

    copy = with_options

    async def close(self) -> None:
        """There is nothing to close."""

    async def __aenter__(self) -> DirectClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _request(self, call: Call, timeout: Any) -> Answer:
        """The SDK's retry loop: connection errors, timeouts and some statuses, at most `max_retries` more times.

        The payload of an answer that is a stream is the `RecordStream` of its events.
        """
        read, connect = self._limits if isinstance(timeout, NotGiven) else _read_and_connect(timeout)
        network, taken = self._network, 0
        while True:
            if network.sent is not None:
                network.sent.note_call(network.kernel.now, self._host.name, call)
            arriving = network.attempt(self._host, call, read, connect)
            try:
                answer = await arriving
            except asyncio.CancelledError:
                network.note_unread(self._host.name, arriving)
                raise
            if type(answer) is StreamedAnswer:  # a fault that it meets is met by whoever reads it
                answer.payload = RecordStream(call, answer.arrivals, read, network.service.backend)
                return answer
            if answer.status == 200 and answer.failure is None:
                return answer
            head = head_of(call, answer)
            if taken >= self.max_retries or not may_retry(head):
                if isinstance(answer, BrokenAnswer) and head is not answer:
                    raise body_error(call, answer, network.service.backend)
                raise error_of(call, answer, network.service.backend)
            await asyncio.sleep(retry_seconds(head, taken, network.kernel.draws))
            taken += 1


def record_of(answer: Answer) -> Record:
    """The object that an answer brings."""
    assert answer.payload is not None
    return Record(answer.payload, answer.request_id)


def take_given(params: dict[str, Any], **values: Any) -> None:
    """Take the values that were given, as copies: the caller may change its own before the request arrives."""
    for name, value in values.items():
        if not isinstance(value, ABSENT):
            params[name] = value if isinstance(value, str | int | float | None) else copy.deepcopy(value)


def check_not_empty(name: str, value: str) -> None:
    """Refuse an empty id as the SDK does, before any request: ValueError."""
    if not value:
        raise ValueError(f"Expected a non-empty value for `{name}` but received {value!r}")


def refuse_others(others: Mapping[str, Any], *of_the_sdk: str) -> None:
    """Refuse arguments that the lane does not know: NotInDirectLaneError for those that every method of the SDK takes, and
    for the ones that are named here besides, where a value was given; TypeError for all others.
    """
    for name, value in others.items():
        if name not in ("extra_headers", "extra_query", "extra_body", *of_the_sdk):
            raise TypeError(f"got an unexpected keyword argument {name!r}")
        if value is not None and not isinstance(value, ABSENT):
            raise NotInDirectLaneError(f"the argument {name!r}")


def _read_and_connect(timeout: Any) -> tuple[float | None, float | None]:
    if isinstance(timeout, httpx2.Timeout):
        return timeout.read, timeout.connect
    return timeout, timeout
