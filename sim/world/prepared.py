"""Conversations that the world has prepared, given to relays that open conversations by themselves.

Many relays keep a table of threads of their own and make a thread when they know none. What a scenario left on the prepared
one, a stuck run for instance, they would never meet. So the first conversation that a relay opens for a customer is the
prepared one, unless some worker has named that one in a request before: a relay that knows it and opens another gets
another.

Whom a new conversation is for is told by the delivery in whose handling the request left, tasks that were started there
included. A request from elsewhere (`serve`, a queue's consumer) is for the only customer, where there is only one and a
message of theirs has been delivered; else nobody can know, and it is answered with a new conversation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from relaysim.sim.kernel import Record
from relaysim.sim.trace.schema import HandlingStart, RequestSent


class PreparedConversations:
    """The prepared conversations of one world, and which of them were given away.

    Args:
        records: the world's trace, as far as it has come.
        prepared: per customer, e.g. `c1`, the id of the conversation.
        owner_of: whose message a delivery is of; None: of none that was written.

    Attributes:
        given: the ids that requests to open a conversation were answered with.
    """

    def __init__(
        self, records: Sequence[Record], prepared: Mapping[str, str], owner_of: Callable[[str], str | None]
    ) -> None:
        self._owner_of = owner_of
        self.given: set[str] = set()
        self._records = records
        self._left = dict(prepared)
        self._only = next(iter(prepared)) if len(prepared) == 1 else None

    def choose(self, cause: str) -> str | None:
        """What a request to open a conversation is answered with; None: a new one.

        Args:
            cause: the request's id.
        """
        customer = self._asked_for(cause)
        # Looked up once for each customer: whoever asks again has the prepared one, or a reason to want another.
        prepared = None if customer is None else self._left.pop(customer, None)
        if prepared is None or self._is_named(prepared):
            return None
        self.given.add(prepared)
        return prepared

    def _asked_for(self, cause: str) -> str | None:
        delivery = ""
        for record in reversed(self._records):
            sent = record.fields
            if isinstance(sent, RequestSent) and sent.request_id == cause:
                delivery = sent.context
                break
        if delivery:
            return self._owner_of(delivery)
        delivered = any(isinstance(record.fields, HandlingStart) for record in self._records)
        return self._only if delivered else None

    def _is_named(self, conversation_id: str) -> bool:
        return any(
            isinstance(record.fields, RequestSent) and record.fields.thread_id == conversation_id
            for record in self._records
        )
