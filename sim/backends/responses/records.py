"""What the simulated service stores: conversations with their items, and the responses that work on them."""

from __future__ import annotations

from typing import Any, NamedTuple

from relaysim.sim.backends.calls import PendingAnswer
from relaysim.sim.backends.json_values import Object
from relaysim.sim.backends.replies import Reply
from relaysim.sim.backends.responses.events import TurnEvents
from relaysim.sim.backends.responses.states import TERMINAL, Status


class Item(NamedTuple):
    """One item of a conversation.

    Attributes:
        view: the API object.
        turn_id: the response that wrote it; None: a client did.
    """

    view: Object
    turn_id: str | None = None

    @property
    def id(self) -> str:
        """Its id."""
        found: str = self.view["id"]
        return found

    @property
    def text(self) -> str | None:
        """Its words, if it is a message: those of its parts, joined by newlines."""
        if self.view["type"] != "message":
            return None
        return "\n".join(part["text"] for part in self.view["content"] if "text" in part)


class ConversationRecord:
    """One conversation in the store, or a chain of responses that is bound to none.

    Attributes:
        id: a chain's is its first response's.
        view: the API object; None: a chain, which the API does not show.
        made: its number among the service's conversations, from 1.
        items: oldest first; a chain's stay with its responses.
        items_made: how many there have ever been, those of turns that were not kept included.
        turns: how many responses have been created.
        active: the responses that work on it.
        delivered: how many turns of models were delivered.
        deleted: it is gone.
        standing: the ids of the messages that the trace has of it.
    """

    __slots__ = ("active", "deleted", "delivered", "id", "items", "items_made", "made", "standing", "turns", "view")

    def __init__(self, conversation_id: str, view: Object | None, made: int) -> None:
        self.id = conversation_id
        self.view = view
        self.made = made
        self.items: list[Item] = []
        self.items_made = 0
        self.turns: list[ResponseRecord] = []
        self.active: list[ResponseRecord] = []
        self.delivered = 0
        self.deleted = False
        self.standing: dict[str, None] = {}


class ResponseRecord:
    """One response in the store.

    Attributes:
        id: its id.
        conversation: what it works on.
        key: names it in keyed draws.
        view: the API object, kept up to date.
        status: its state in the table, of which the view shows what the API does.
        background: it was created in the background.
        stored: it can be retrieved, once it may be shown.
        created: when, in the service's exact time.
        history: the items before its own.
        inputs, outputs: its own items.
        plan: what the model answers, once it is known.
        events: the events of its streams.
        pending: the answer that its client waits for; None: nobody does.
        cancels: answers to cancels that wait for its end.
        left: its stream's reader has gone.
        superseded: a newer turn has taken its place.
        after: the turn whose end it waits for in `queued`; None: it waits for none.
        text: what has been written of its message.
        number: which turn of the conversation it is, from 1; those that were never delivered do not count.
    """

    __slots__ = (
        "after",
        "background",
        "cancels",
        "conversation",
        "created",
        "events",
        "history",
        "id",
        "inputs",
        "key",
        "left",
        "number",
        "outputs",
        "pending",
        "plan",
        "status",
        "stored",
        "superseded",
        "text",
        "view",
    )

    def __init__(
        self,
        conversation: ConversationRecord,
        response_id: str,
        key: str,
        created: float,
        view: Object,
        history: list[Item],
        inputs: list[Item],
    ) -> None:
        self.conversation = conversation
        self.id = response_id
        self.key = key
        self.created = created
        self.view = view
        self.history = history
        self.inputs = inputs
        self.outputs: list[Item] = []
        self.status: Status = "queued"
        self.background = False
        self.stored = True
        self.plan: Reply | None = None
        self.events = TurnEvents()
        self.pending: PendingAnswer | None = None
        self.cancels: list[PendingAnswer] = []
        self.left = False
        self.superseded = False
        self.after: ResponseRecord | None = None
        self.text = ""
        self.number = 1

    @property
    def ended(self) -> bool:
        """Whether it is in a terminal state."""
        return self.status in TERMINAL

    @property
    def whole(self) -> list[Item]:
        """All items up to its end, its own included."""
        return [*self.history, *self.inputs, *self.outputs]

    def shown(self) -> Object:
        """The API object as it is now; what happens later does not change it."""
        return dict(self.view)


def usage_of(input_tokens: int, output_tokens: int) -> dict[str, Any]:
    """A usage object as the API shows it."""
    return {
        "input_tokens": input_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": input_tokens + output_tokens,
    }
