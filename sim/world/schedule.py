"""Constraints on the order in which requests are processed: a world in which a given interleaving happens.

A held request reaches the service, but is processed only once the request it waits for has been processed, as if its
own way had taken that much longer. If that request never comes, the hold ends after `at_most_seconds`. Nothing else is
touched: what the two requests are answered follows from the order alone.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Iterable
from typing import Any

from relaysim.sim.backends.calls import Answer, Call
from relaysim.sim.doors.effects import READ_TIMEOUT
from relaysim.sim.doors.faults import ApiFault
from relaysim.sim.doors.network import Network, OpenAttempt
from relaysim.sim.kernel import Host, current_context
from relaysim.sim.world.names import Names, message_name
from relaysim.sim.world.settings import Hold, ScriptedMessage

Place = tuple[str, str]
"""A delivery and an operation: the first such request is meant."""


class ScheduledNetwork(Network):
    """A network in which some requests wait for others."""

    _waits_for: dict[Place, tuple[Place, float]]

    def constrain_messages(self, schedule: Iterable[Hold], messages: Iterable[ScriptedMessage], names: Names) -> None:
        """Set the constraints of a world's settings: on the first deliveries of messages, which it names by their places."""
        # The n-th message of a conversation's script has the n-th id there, in the order of the list.
        counts: dict[int, int] = {}
        deliveries = []
        for scripted in messages:
            counts[scripted.conversation] = counts.get(scripted.conversation, 0) + 1
            deliveries.append(f"{message_name(scripted.conversation, counts[scripted.conversation], names)}#1")
        self.constrain(
            [
                (
                    (deliveries[hold.hold.message - 1], hold.hold.operation),
                    (deliveries[hold.until.message - 1], hold.until.operation),
                    hold.at_most_seconds,
                )
                for hold in schedule
            ]
        )

    def constrain(self, constraints: list[tuple[Place, Place, float]]) -> None:
        """Set the constraints: (held, awaited, seconds at most)."""
        self._waits_for = {held: (awaited, limit) for held, awaited, limit in constraints}
        self._watched = {awaited for _, awaited, _ in constraints}
        self._places: dict[str, Place] = {}
        self._left: dict[str, float] = {}
        self._seen: set[Place] = set()
        self._served: set[Place] = set()
        self._waiting: dict[Place, list[tuple[Any, ...]]] = {}

    def attempt(
        self,
        host: Host,
        call: Call,
        read_timeout: float | None,
        connect_timeout: float | None,
        opened: OpenAttempt | None = None,
    ) -> Future[Answer]:
        place = (current_context.get(), call.operation)
        if place not in self._seen and (place in self._waits_for or place in self._watched):
            self._seen.add(place)
            request_id = f"{host.name}#{self._attempts.get(host.name, 0) + 1}"
            self._places[request_id] = place
            self._left[request_id] = self.kernel.now
        return super().attempt(host, call, read_timeout, connect_timeout, opened)

    def _serve(
        self,
        call: Call,
        request_id: str,
        worker: str,
        key: str,
        index: int,
        way_back: float,
        future: Future[Answer],
        fault: ApiFault | None,
        read_timeout: float | None,
        way_out: float = 0.0,
    ) -> None:
        place = self._places.get(request_id)
        if place is None:
            super()._serve(call, request_id, worker, key, index, way_back, future, fault, read_timeout, way_out)
            return
        constraint = self._waits_for.pop(place, None)
        if constraint is not None and constraint[0] not in self._served:
            awaited, limit = constraint
            waited = self.kernel.now - self._left[request_id]
            if read_timeout is not None and waited + limit + max(way_back, 0.0) > read_timeout >= waited:
                # Its client may give up before it is let go; what comes after that reaches nobody.
                self._at(read_timeout - waited, self._fail, READ_TIMEOUT, request_id, worker, key, index, future)
            held = (call, request_id, worker, key, index, way_back, future, fault, read_timeout)
            self._waiting.setdefault(awaited, []).append(held)
            self._at(limit, self._release, awaited)
            return
        way_out = self.kernel.now - self._left[request_id]  # it may have been held
        super()._serve(call, request_id, worker, key, index, way_back, future, fault, read_timeout, way_out)
        self._served.add(place)
        self._release(place)

    def _release(self, awaited: Place) -> None:
        """Let go what waited for `awaited`, one tick later: two requests are never processed at one instant."""
        for arguments in self._waiting.pop(awaited, ()):
            self._at(2.0**-20, self._serve, *arguments)
