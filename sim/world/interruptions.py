"""Customers who write at the moments that matter: while a worker lets go of their conversation, say.

A message that is to come between two commands of a relay does so in one of thousands of worlds if customers write whenever
they like. Here a customer writes because a worker has just done something for the conversation: sent a command about its
lease, or a text. The webhook comes within a fraction of a second, on a logarithmic scale, since the gaps to be hit are as
short as round trips are. Only at few kinds of such moments, others in each world.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from relaysim.sim.kernel import Kernel, Record
from relaysim.sim.trace.lease_keys import CONVERSATION, LeaseKeys
from relaysim.sim.trace.schema import RedisCommand, TextSent

_SITES: Final = 0.15
"""How likely a kind of moment is one of a world's."""

_MESSAGES_MAX: Final = 12
"""So often a customer writes for that reason at most, in a world."""

_LEAST_SECONDS: Final = 0.0003
_MOST_SECONDS: Final = 0.6


class Interruptions:
    """Those of one world.

    Args:
        kernel: the world's.
        probability: how likely a customer writes at such a moment.
        lease_key: of a conversation's lease, with `{conversation}` once; None: no commands are about a conversation.
        until: virtual seconds from which on nobody writes for that reason.
        write: lets the customer of a conversation write, with a webhook that arrives after so many seconds.
    """

    def __init__(
        self,
        kernel: Kernel,
        probability: float,
        lease_key: str | None,
        until: float,
        write: Callable[[str, float], None],
    ) -> None:
        self._kernel = kernel
        self._probability = probability
        before, _, after = (lease_key or CONVERSATION).partition(CONVERSATION)
        self._keys = LeaseKeys(before, after) if lease_key else None
        self._until = until
        self._write = write
        self._counts: dict[tuple[str, str], int] = {}
        self._written: dict[str, int] = {}

    def note(self, record: Record) -> None:
        """Something has happened."""
        if record.time >= self._until:
            return
        event = record.fields
        if isinstance(event, RedisCommand):
            conversation = None if self._keys is None else self._keys.conversation_of(event.key)
            moment = f"redis:{event.command}"
        elif isinstance(event, TextSent):
            conversation, moment = event.conversation, "send"
        else:
            return
        if conversation is None or self._written.get(conversation, 0) >= _MESSAGES_MAX:
            return
        draws = self._kernel.draws
        if draws.uniform("interruptions", f"site {moment}", 0) >= _SITES:
            return
        number = self._counts[conversation, moment] = self._counts.get((conversation, moment), -1) + 1
        if draws.rare(conversation, f"interrupts {moment}", number) >= self._probability:
            return
        self._written[conversation] = self._written.get(conversation, 0) + 1
        share = draws.uniform(conversation, f"interrupts soon {moment}", number)
        soon = _LEAST_SECONDS * (_MOST_SECONDS / _LEAST_SECONDS) ** share
        self._kernel.at(0.0, self._write, conversation, soon)


def start_interruptions(
    kernel: Kernel, probability: float, lease_key: str | None, until: float, write: Callable[[str, float], None]
) -> None:
    """Let customers of this world write at such moments, see `Interruptions`. Whoever listens to the trace goes on."""
    interruptions = Interruptions(kernel, probability, lease_key, until, write)
    before = kernel.trace.listener

    def listen(record: Record) -> None:
        interruptions.note(record)
        if before is not None:
            before(record)

    kernel.trace.listener = listen
