"""What outlives a failover: copies of the data, and which writes a replica is known to have.

A world in which nothing will be lost takes no copy. Where something will, the copy is the replica: taken when it stops
keeping up, put back when it takes over. Until then `WAIT` confirms writes from before the copy, and later ones not.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Protocol

from fakeredis import FakeServer


class Snapshot:
    """A copy of all databases.

    Expiry times are absolute and are copied with the keys.
    """

    __slots__ = ("_databases",)

    def __init__(self, server: FakeServer) -> None:
        self._databases = {number: _copy_of(database) for number, database in server.dbs.items()}

    def restore(self, server: FakeServer) -> None:
        """Let the server hold what it held then; the snapshot stays as it is."""
        for number, database in server.dbs.items():
            items, heap = deepcopy(self._databases.get(number, ({}, [])))
            database._dict.clear()
            database._dict.update(items)
            database._expiry_heap[:] = heap


def _copy_of(database: Any) -> tuple[dict[bytes, Any], list[tuple[float, bytes]]]:
    return deepcopy(database._dict), list(database._expiry_heap)


class Writer(Protocol):
    """A connection, as far as replication knows it.

    Attributes:
        written: how many writes the server had seen after this connection's last one; 0 if it wrote nothing yet.
    """

    written: int


class Lag:
    """A replica that no longer keeps up, from its copy until it takes over."""

    __slots__ = ("snapshot", "written")

    def __init__(self, snapshot: Snapshot, written: int) -> None:
        self.snapshot = snapshot
        self.written = written


class Replication:
    """The writes of one server, and how far its replica has followed.

    Args:
        server: the server.
    """

    def __init__(self, server: FakeServer) -> None:
        self._server = server
        self._written = 0
        self._lags: list[Lag] = []
        server.dbs[0].add_change_callback(self._note_write)

    def _note_write(self) -> None:
        self._written += 1

    @property
    def written(self) -> int:
        """How many writes the server has seen, those that were lost since included."""
        return self._written

    def fall_behind(self) -> Lag:
        """From now on the replica follows no write, until `take_over` or `catch_up`."""
        lag = Lag(Snapshot(self._server), self._written)
        self._lags.append(lag)
        return lag

    def take_over(self, lag: Lag) -> None:
        """The replica's copy becomes what the server holds."""
        self._lags.remove(lag)
        lag.snapshot.restore(self._server)
        for other in self._lags:
            if other.written > lag.written:
                # It followed writes that no longer are: what it would bring back are ghosts.
                other.snapshot = lag.snapshot

    def catch_up(self) -> None:
        """No replica lags any more; what would have been lost stays."""
        self._lags.clear()

    def has(self, writer: Writer) -> bool:
        """Whether the replica has everything that this connection wrote."""
        return all(writer.written <= lag.written for lag in self._lags)
