"""A streamed answer in the `direct` lane: what the SDK's `AsyncStream` is to a relay, without its models.

The events travel as in the other lane (`arrivals`), and the SDK's own decoder takes them apart. Whoever closes the stream,
is cancelled while reading it, or reads it to its end closes the connection, at the instants at which the SDK would.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from openai._streaming import SSEDecoder

from relaysim.sim.backends.calls import Answer, Call
from relaysim.sim.backends.protocol import Backend
from relaysim.sim.doors.arrivals import Arrivals, BrokenStreamError
from relaysim.sim.doors.direct_errors import error_of
from relaysim.sim.doors.direct_records import Record


class RecordStream:
    """The events of one answer, in the order in which they arrive; iterate over it, and close it if that ends early.

    Args:
        call: what was asked.
        arrivals: what has reached the worker.
        read_timeout: seconds to wait for each event; None: for ever.
        backend: which API was asked.

    Attributes:
        kind: what each event becomes.

    Raises (while it is read):
        openai.APITimeoutError: nothing came in time.
        openai.APIConnectionError: the stream broke off.
        json.JSONDecodeError: an event is no JSON.
    """

    kind: type[Record] = Record

    def __init__(self, call: Call, arrivals: Arrivals, read_timeout: float | None, backend: Backend) -> None:
        self._call = call
        self._arrivals = arrivals
        self._read_timeout = read_timeout
        self._backend = backend
        self._iterator = self._events()

    async def __anext__(self) -> Record:
        return await anext(self._iterator)

    async def __aiter__(self) -> AsyncIterator[Record]:
        async for event in self._iterator:
            yield event

    async def _frames(self) -> AsyncIterator[bytes]:
        while True:
            try:
                frames = await self._arrivals.read(self._read_timeout)
            except BrokenStreamError as broken:
                raise error_of(self._call, Answer(0, failure=broken.failure), self._backend) from None
            if not frames:
                return
            yield frames

    async def _events(self) -> AsyncIterator[Record]:
        try:
            async for event in SSEDecoder().aiter_bytes(self._frames()):
                if event.data.startswith("[DONE]"):
                    break
                yield self.kind(event.json())
        finally:
            self._arrivals.close()

    async def __aenter__(self) -> RecordStream:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection: the service hears that its reader has gone."""
        self._arrivals.close()

    async def aclose(self) -> None:
        """The same as `close`."""
        await self.close()

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"a stream has no {name!r} (in the direct lane; lane sdk has the SDK's own)")
