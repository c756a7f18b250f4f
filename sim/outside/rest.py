"""When a world around a program has come to rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from relaysim.sim.kernel import Record
from relaysim.sim.trace.chronicle import ENDED_STATES
from relaysim.sim.trace.schema import HostCrash, MessageSent, Received, RequestSent, ResponseReceived, RunState

SETTLED_SECONDS: Final = 10.0
"""A world ends when every customer has got a text since they wrote last, no request and no run is open, and nothing has
happened for so long."""

SILENT_SECONDS: Final = 60.0
"""Or when nothing has happened for so long."""

PATIENCE_SECONDS: Final = 600.0
"""Clients wait so long for an answer, by the SDKs' default; until then a world waits with them."""


class OpenEnds:
    """What has begun in a trace and not ended: customers who wrote and got no text since, runs, and requests.

    Attributes:
        requests: when each request that is on its way was sent, and by whom.
    """

    def __init__(self) -> None:
        self.requests: dict[str, tuple[float, str]] = {}
        self._read = 0
        self._open: set[tuple[str, str]] = set()

    def there_are(self, records: Sequence[Record]) -> bool:
        """Whether something is open; `records` must only have grown."""
        for sent_at, entity, _, event in records[self._read :]:
            if isinstance(event, MessageSent):
                self._open.add(("customer", event.conversation))
            elif isinstance(event, Received):
                self._open.discard(("customer", event.conversation))
            elif isinstance(event, RequestSent):
                self.requests[event.request_id] = sent_at, entity
            elif isinstance(event, ResponseReceived):
                self.requests.pop(event.request_id, None)
            elif isinstance(event, HostCrash):
                self.requests = {name: sent for name, sent in self.requests.items() if sent[1] != entity}
            elif isinstance(event, RunState):
                change = self._open.discard if event.state in ENDED_STATES else self._open.add
                change(("run", event.run_id))
        self._read = len(records)
        return bool(self._open or self.requests)

    def are_awaited(self, now: float, speed: float) -> bool:
        """Whether a client may still wait for an answer, of whose seconds `speed` of the world's pass."""
        return any(now < sent + PATIENCE_SECONDS * speed for sent, _ in self.requests.values())
