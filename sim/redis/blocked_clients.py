"""Clients whose blocking command has found nothing yet: first come, first served, as Redis does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from relaysim.sim.kernel import Kernel
from relaysim.sim.redis.command_names import Read
from relaysim.sim.redis.exchange import Exchange, Line
from relaysim.sim.redis.wait import Blocked


class BlockedClients:
    """The exchanges whose present command waits for data.

    A client whose process has crashed is gone from then on. One that gives up or is cancelled closes its connection, of
    which the server hears half a round trip later; what it pops for it until then is lost, as what was on its way is.

    Args:
        kernel: the world's kernel.
        read: reads a command.
        perform: lets commands be processed at this instant, see `relaysim.sim.redis.link.RedisLink`.
        go_on: goes on with an exchange whose present command has its reply.

    Attributes:
        waiting: they, in the order in which they came to wait.
    """

    def __init__(
        self,
        kernel: Kernel,
        *,
        read: Callable[[list[bytes]], Read],
        perform: Callable[[str, str, list[list[bytes]], Read, Callable[[list[bytes]], Any]], list[Any]],
        go_on: Callable[[Exchange], None],
    ) -> None:
        self.waiting: list[Exchange] = []
        self._kernel = kernel
        self._read = read
        self._perform = perform
        self._go_on = go_on
        self._watched: dict[int, Any] = {}  # databases by their identities
        self._changed = False
        self._serving = False

    def add(self, exchange: Exchange, blocked: Blocked) -> None:
        """The exchange's present command waits from now on, until there is something or its own time is up."""
        exchange.blocked = blocked
        self.waiting.append(exchange)
        database = blocked.database
        if id(database) not in self._watched:
            self._watched[id(database)] = database
            database.add_change_callback(self._note_change)
        if blocked.timeout:
            self._kernel.at(blocked.timeout, self._end, exchange, blocked)

    def _note_change(self) -> None:
        self._changed = True

    def serve(self) -> None:
        """A command has been processed: whoever waits for what it wrote gets it. What that writes may serve others."""
        if self._serving:
            return
        self._serving = True
        try:
            while self._changed:
                self._changed = False
                for exchange in list(self.waiting):
                    if exchange.host is not None and exchange.host.crashed:
                        self.waiting.remove(exchange)  # its connection went with its process
                    elif exchange.blocked is not None and exchange.blocked.again():
                        self._finish(exchange, exchange.blocked)
        finally:
            self._serving = False

    def _end(self, exchange: Exchange, blocked: Blocked) -> None:
        if exchange.blocked is blocked and exchange in self.waiting:
            blocked.end()
            self._finish(exchange, blocked)

    def _finish(self, exchange: Exchange, blocked: Blocked) -> None:
        """The command has its reply; what follows in its pipeline comes after the others that are served now."""
        self.waiting.remove(exchange)
        exchange.blocked = None
        fields = exchange.commands[exchange.position]
        read = self._read(fields) if exchange.position else exchange.first
        exchange.position += 1
        exchange.replies += self._perform(
            exchange.worker, exchange.delivery, [fields], read, lambda fields: blocked.reply
        )
        self._kernel.at(0.0, self._go_on, exchange)

    def hang_up(self, line: Line) -> None:
        """A client has closed its connection."""
        for exchange in self.waiting:
            if exchange.line is line:
                exchange.ended = True
                self.close(exchange)

    def close(self, exchange: Exchange) -> None:
        """The client of this exchange no longer waits for its reply; the server hears of it half a round trip later."""
        if exchange.blocked is not None:
            self._kernel.at(exchange.back, self._forget, exchange)

    def _forget(self, exchange: Exchange) -> None:
        if exchange in self.waiting:
            self.waiting.remove(exchange)

    def take_all(self) -> list[Exchange]:
        """All of them, whose connections are reset: none waits any more."""
        waiting, self.waiting = self.waiting, []
        return waiting
