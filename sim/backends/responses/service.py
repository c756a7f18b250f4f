"""The state machine of Responses and Conversations, and the lock between them. Sans-I/O.

Theory of operation. Nothing here waits, draws a latency or knows HTTP: a method is called, changes what is stored at that
very instant, and returns the API object as a dict or raises an `ApiError`. Responses move only through `move`; who moves
them, and when, is `life`. Every move is checked against the table in `states`, and whether a request is refused in a
state is looked up there, but for the switches of the profile, which say where reports disagree.

A response's items are linked to its conversation when it has completed (documented). The trace has its input when it is
accepted, since that is when the model reads it, and says that it was deleted if the conversation does not keep it.

Choices where nothing is known (each `inferred`): a conversation that is deleted takes no part in its turn any more,
which ends as it would; items that are added to a conversation while a turn works on it are not read by that turn;
updating metadata replaces it.

Longer than 400 lines because conversations, items and responses refer to one another, and each request is one method.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from relaysim.sim.backends import errors
from relaysim.sim.backends.calls import PendingAnswer
from relaysim.sim.backends.json_values import Object, check_integer, check_metadata
from relaysim.sim.backends.pages import page_of
from relaysim.sim.backends.pieces import ending_text
from relaysim.sim.backends.protocol import TraceSink, none_prepared
from relaysim.sim.backends.rate_limits import RateLimits
from relaysim.sim.backends.replies import Replier, Reply, Turn, checked
from relaysim.sim.backends.responses import response_errors
from relaysim.sim.backends.responses.history import (
    check_tool_calls,
    messages_of,
    tokens_of_items,
    tool_outputs_of,
)
from relaysim.sim.backends.responses.parameters import (
    DEFAULTS,
    GivenItem,
    check_conversation,
    check_flag,
    check_input,
    check_items,
    check_model,
    check_settings,
)
from relaysim.sim.backends.responses.profile import Kept, Left, Lock
from relaysim.sim.backends.responses.records import ConversationRecord, Item, ResponseRecord
from relaysim.sim.backends.responses.states import CHAIN, RULE, SHOWN, TERMINAL, Status, check_move
from relaysim.sim.backends.streaming import EventStream
from relaysim.sim.kernel import Draws
from relaysim.sim.trace.schema import (
    MessageDeleted,
    MessageStored,
    MetadataNoted,
    RunMetadata,
    RunMisses,
    RunReads,
    RunState,
    RunWrites,
    ThreadDeleted,
)

ID_LENGTH: Final = 48


class ResponsesService:
    """The simulated service.

    Args:
        draws: keyed draws; ids come from them, so a world's ids are a function of its seed.
        now: seconds since the Unix epoch.
        trace: receives `run.state`, `message.stored` and what else the protocol of backends asks for.
        replier: what models answer.

    Attributes:
        replier: as given.
        limits: refuses requests beyond the rates of a profile; None: no limits.
        traced_metadata: which metadata of a new response the trace shows.
        prepared: as of `relaysim.sim.backends.protocol.Service`; asked by `create_conversation` without a key.
        on_state: called after every move with the response, its new state and the cause.
        on_left: called when the client of a response in the foreground has gone: the response, and whether it was a stream.
        lock, abandoned_stream, abandoned_call, unfinished_keeps, items_while_locked: the profile's switches.
    """

    lock: Lock = "openai400"
    abandoned_stream: Left = "runs_on"
    abandoned_call: Left = "cancels"
    unfinished_keeps: Kept = "nothing"
    items_while_locked = "accepted"

    def __init__(self, draws: Draws, now: Callable[[], float], trace: TraceSink, *, replier: Replier) -> None:
        self._draws = draws
        self._now = now
        self._add = trace.add
        self.replier = replier
        self.limits: RateLimits | None = None
        self.traced_metadata: frozenset[str] = frozenset()
        self.prepared: Callable[[str], str | None] = none_prepared
        self.on_state: Callable[[ResponseRecord, Status, str], None] = _nothing
        self.on_left: Callable[[ResponseRecord], None] = _nothing
        self.conversations: dict[str, ConversationRecord] = {}
        self.responses: dict[str, ResponseRecord] = {}
        self._conversations_made = 0  # those whose id is a function of this number
        self._chains_made = 0
        self._made = 0

    def now(self) -> float:
        """The service's time, in seconds since the Unix epoch."""
        return self._now()

    # Conversations

    def create_conversation(
        self, *, items: Any = None, metadata: Any = None, cause: str = "", key: str | None = None
    ) -> Object:
        """Create a conversation, with at most 20 items."""
        kept = check_metadata(metadata)
        given = [] if items is None else check_items("items", items)
        prepared = None if key is not None else self.prepared(cause)
        if prepared is None:
            token = self._draws.token(key or "conversations", "conversation-id", ID_LENGTH, self._numbered(key))
            conversation_id = f"conv_{token}"
            view: Object = {"id": conversation_id, "object": "conversation", "created_at": int(self._now())}
            self._made += 1
            conversation = ConversationRecord(conversation_id, view, self._made)
            self.conversations[conversation_id] = conversation
        else:
            conversation = self.conversations[prepared]
        view = self._view(conversation)
        view["metadata"] = kept
        self._link(conversation, self._made_items(conversation, given, conversation.items), cause)
        return dict(view)

    def _numbered(self, key: str | None) -> int:
        if key is not None:
            return 0
        self._conversations_made += 1
        return self._conversations_made - 1

    def retrieve_conversation(self, conversation_id: str) -> Object:
        """The conversation.

        Raises:
            ApiError: unknown id; so does every method below.
        """
        return dict(self._view(self._conversation(conversation_id)))

    def update_conversation(self, conversation_id: str, *, metadata: Any = None) -> Object:
        """Replace the conversation's metadata."""
        view = self._view(self._conversation(conversation_id))
        view["metadata"] = check_metadata(metadata)
        return dict(view)

    def delete_conversation(self, conversation_id: str, *, cause: str = "") -> Object:
        """Delete the conversation; its items survive in responses (documented)."""
        conversation = self._conversation(conversation_id)
        self._refuse_items_if_locked(conversation)
        self.forget_conversation(conversation_id)
        self._add("api", ThreadDeleted(thread_id=conversation_id, cause=cause))
        return {"id": conversation_id, "object": "conversation.deleted", "deleted": True}

    def forget_conversation(self, conversation_id: str) -> None:
        """Drop a conversation with its items.

        Raises:
            KeyError: no such conversation.
        """
        self.conversations.pop(conversation_id).deleted = True

    # Items

    def create_items(self, conversation_id: str, *, items: Any = None, cause: str = "") -> Object:
        """Append at most 20 items; none or all of them."""
        conversation = self._conversation(conversation_id)
        if items is None:
            raise errors.missing_parameter("items")
        given = check_items("items", items)
        self._refuse_items_if_locked(conversation)
        made = self._made_items(conversation, given, conversation.items)
        self._link(conversation, made, cause)
        return _listed([item.view for item in made], has_more=False)

    def list_items(self, conversation_id: str, **paging: Any) -> Object:
        """A page of items, newest first unless `order` is `asc`."""
        items = [item.view for item in self._conversation(conversation_id).items]
        return _page(items, paging)

    def retrieve_item(self, conversation_id: str, item_id: str) -> Object:
        """One item."""
        return dict(self._item(self._conversation(conversation_id), item_id).view)

    def delete_item(self, conversation_id: str, item_id: str, *, cause: str = "") -> Object:
        """Take an item out; the answer is the conversation."""
        conversation = self._conversation(conversation_id)
        item = self._item(conversation, item_id)
        self._refuse_items_if_locked(conversation)
        conversation.items.remove(item)
        self._trace_deleted(conversation, [item], cause)
        return dict(self._view(conversation))

    # Responses

    def create_response(self, *, cause: str = "", stream: Any = None, **params: Any) -> ResponseRecord:
        """Begin a turn, or, refused, nothing at all: the response, which is queued.

        Args:
            cause: what the trace names as the cause.
            stream: whether its events are the answer.
            params: as documented.
        """
        model = check_model(params.get("model"))
        conversation_id = check_conversation(params.get("conversation"))
        previous_id = params.get("previous_response_id")
        if conversation_id is not None and previous_id is not None:
            raise response_errors.both_given()
        given = check_input("input", params.get("input"))
        settings = check_settings(params)
        metadata = check_metadata(params.get("metadata"))
        background = check_flag("background", params.get("background"), default=False)
        streamed = check_flag("stream", stream, default=False)
        stored = check_flag("store", params.get("store"), default=True)
        if background and not stored:
            raise response_errors.background_not_stored()
        if not given and conversation_id is None and previous_id is None:
            raise errors.missing_parameter("input")
        conversation, history, number = self._bound_to(conversation_id, previous_id)
        if self.lock == "steer" and previous_id is not None and conversation.turns[-1].id != previous_id:
            raise response_errors.cannot_fork()
        inputs = self._made_items(conversation, given, history)
        check_tool_calls(history, inputs)
        after = conversation.active[-1] if conversation.active and conversation.view is not None else None
        self._refuse_turn(after)
        record = self._begin(conversation, model, settings, metadata, history, inputs)
        record.number = number
        record.background, record.stored = background, stored
        if after is not None and self.lock == "steer":
            record.after, after.superseded = after, True
        record.view["background"] = background
        record.view["store"] = stored
        record.view["previous_response_id"] = previous_id
        if not background:
            record.view["status"] = "in_progress"
        if streamed:
            if background:
                record.events.keep()
            record.events.first = self._stream(record)
            record.events.attach(record.events.first)
        elif not background:
            record.pending = PendingAnswer(lambda: self.on_left(record))
        self._announce_first(record, cause)
        if after is not None and self.lock == "steer":
            self.supersede(after, cause)
        return record

    def _bound_to(self, conversation_id: str | None, previous_id: Any) -> tuple[ConversationRecord, list[Item], int]:
        """What a new response works on, what it reads, and which turn it is."""
        if conversation_id is not None:
            conversation = self._conversation(conversation_id)
            return conversation, list(conversation.items), conversation.delivered + 1
        if previous_id is None:
            self._made += 1
            return ConversationRecord("", None, self._made), [], 1
        if not isinstance(previous_id, str):
            raise errors.invalid_type("previous_response_id", "a string", previous_id)
        previous = self.responses.get(previous_id)
        if previous is None or not previous.stored:
            raise response_errors.no_previous_response(previous_id)
        if RULE[previous.status, CHAIN].refusal is not None:
            raise response_errors.cannot_continue(previous_id)
        return previous.conversation, previous.whole, previous.number + (previous.status in ("completed", "incomplete"))

    def _refuse_turn(self, active: ResponseRecord | None) -> None:
        if active is None or RULE[active.status, "responses.create"].refusal is None:
            return
        if self.lock == "openai400":
            raise response_errors.locked()
        if self.lock == "foundry409":
            raise response_errors.locked_as_conflict()

    def _refuse_items_if_locked(self, conversation: ConversationRecord) -> None:
        if self.items_while_locked == "refused" and conversation.active:
            self._refuse_turn(conversation.active[-1])

    def _begin(
        self,
        conversation: ConversationRecord,
        model: str,
        settings: Object,
        metadata: Object,
        history: list[Item],
        inputs: list[Item],
    ) -> ResponseRecord:
        now = self._now()
        if conversation.id:
            key = f"{conversation.id}/turn/{len(conversation.turns)}"
        else:
            key = f"chain/{self._chains_made}"
            self._chains_made += 1
        response_id = f"resp_{self._draws.token(key, 'response-id', ID_LENGTH, 0)}"
        if not conversation.id:
            conversation.id = response_id
        bound = None if conversation.view is None else {"id": conversation.id}
        view: Object = {
            "id": response_id,
            "object": "response",
            "created_at": int(now),
            "status": "queued",
            "background": False,
            "completed_at": None,
            "conversation": bound,
            "error": None,
            "incomplete_details": None,
            **DEFAULTS,
            "max_output_tokens": None,
            "metadata": metadata,
            "model": model,
            "output": [],
            "previous_response_id": None,
            "store": True,
            "usage": None,
            **settings,
        }
        record = ResponseRecord(conversation, response_id, key, now, view, history, inputs)
        check_move(None, "queued")
        self.responses[response_id] = record
        conversation.turns.append(record)
        conversation.active.append(record)
        return record

    def _stream(self, record: ResponseRecord) -> EventStream:
        return EventStream(done_frame=False, gone=None if record.background else lambda: self.on_left(record))

    def _announce_first(self, record: ResponseRecord, cause: str) -> None:
        self._trace_stored(record.conversation, record.inputs, cause)
        if record.events.are_wanted:
            record.events.add("response.created", response=record.shown())
            if record.background:
                record.events.add("response.queued", response=record.shown())
        self._tell(record, "queued", cause)
        self._trace_reads(record, cause)
        self.on_state(record, "queued", cause)

    def retrieve_response(self, response_id: str) -> Object:
        """One response."""
        return self._response(response_id).shown()

    def resume_stream(self, response_id: str, starting_after: Any = None) -> EventStream:
        """The events of a response in the background from a number on, and what follows."""
        record = self._response(response_id)
        if record.events.kept is None:
            raise response_errors.cannot_stream()
        after = -1
        if starting_after is not None:
            after = check_integer("starting_after", starting_after, 0, 2**31 - 1)
        stream = EventStream(done_frame=False)
        record.events.attach(stream, after)
        return stream

    def delete_response(self, response_id: str) -> Object:
        """Delete a response; what its conversation holds stays there."""
        record = self._response(response_id)
        if RULE[record.status, "responses.delete"].refusal is not None:
            raise response_errors.cannot_delete()
        del self.responses[response_id]
        return {"id": response_id, "object": "response", "deleted": True}

    def list_input_items(self, response_id: str, **paging: Any) -> Object:
        """A page of what a response was given."""
        return _page([item.view for item in self._response(response_id).inputs], paging)

    def cancel_response(self, response_id: str, *, cause: str = "") -> ResponseRecord:
        """Ask for the end of a response in the background; the answer is there when it has ended."""
        record = self._response(response_id)
        if not record.background:
            raise response_errors.cannot_cancel_synchronous()
        rule = RULE[record.status, "responses.cancel"]
        if rule.refusal is not None:
            raise response_errors.cannot_cancel(record.view["status"])
        if rule.target is not None:
            self.move(record, rule.target, cause)
        return record

    def count_tokens(self, params: Mapping[str, Any]) -> Object:
        """How many tokens a request's input would have."""
        conversation_id = check_conversation(params.get("conversation"))
        previous_id = params.get("previous_response_id")
        given = check_input("input", params.get("input"))
        _, history, _ = self._bound_to(conversation_id, previous_id)
        views = [item.view for item in history] + [each.view for each in given]
        return {"object": "response.input_tokens", "input_tokens": tokens_of_items(views, params.get("instructions"))}

    # What the service does by itself

    def plan(self, record: ResponseRecord) -> Reply:
        """What the model answers; the replier is asked once per response."""
        if record.plan is None:
            items = [*record.history, *record.inputs]
            turn = Turn(messages_of(items), record.shown(), tool_outputs_of(items), record.number)
            record.plan = checked(self.replier(turn))
        return record.plan

    def move(self, record: ResponseRecord, state: Status, cause: str) -> None:
        """Move a response.

        Raises:
            ImpossibleTransitionError: the table does not hold that move.
        """
        check_move(record.status, state)
        record.status = state
        if state in SHOWN:
            record.view["status"] = state
        if state in TERMINAL:
            record.conversation.active.remove(record)
            if state in ("completed", "incomplete"):
                record.conversation.delivered += 1
        self._tell(record, state, cause)
        self.on_state(record, state, cause)

    def _tell(self, record: ResponseRecord, state: Status, cause: str) -> None:
        self._add("api", RunState(run_id=record.id, thread_id=record.conversation.id, state=state, cause=cause))

    def supersede(self, record: ResponseRecord, cause: str) -> None:
        """A newer turn takes this one's place (switch `lock = "steer"`)."""
        if record.status in ("queued", "in_progress"):
            if record.status == "queued":
                self.move(record, "in_progress", cause)
            self.move(record, "cancelling", cause)

    def keep_outcome(self, record: ResponseRecord, cause: str) -> None:
        """Link a turn that is about to end to its conversation, or let go what the switch does not keep.

        Args:
            record: with its outputs.
            cause: the turn's id, or what ended it.
        """
        conversation = record.conversation
        whole = record.view["status"] in ("completed", "incomplete") and not record.left
        kept, dropped = [*record.inputs, *record.outputs], list[Item]()
        if not whole:
            calls = [item for item in record.outputs if item.view["type"] == "function_call"]
            if self.unfinished_keeps == "nothing":
                kept = []
            elif self.unfinished_keeps == "input":
                kept = list(record.inputs)
            else:
                kept = [*record.inputs, *calls]
            dropped = [item for item in (*record.inputs, *record.outputs) if item not in kept]
        if conversation.view is not None and not conversation.deleted:
            conversation.items.extend(kept)
            self._trace_deleted(conversation, dropped, cause)

    # Inside

    def _made_items(
        self, conversation: ConversationRecord, given: Sequence[GivenItem], there: list[Item]
    ) -> list[Item]:
        """Items with their ids, of which the conversation has none yet. A reference stands for what it names."""
        known = {item.id: item for item in there}
        made: list[Item] = []
        for item in given:
            if item.reference is not None:
                if item.reference not in known:
                    raise response_errors.not_stored(item.reference)
                continue  # it is read already
            item_id = item.view.get("id")
            if item_id is None:
                owner = conversation.id or f"chain/{self._chains_made}"
                token = self._draws.token(owner, "item-id", ID_LENGTH, conversation.items_made)
                conversation.items_made += 1
                item_id = f"{item.prefix}_{token}"
            elif item_id in known:
                raise response_errors.duplicate_item(item_id)
            known[item_id] = new = Item({"id": item_id, **item.view})
            made.append(new)
        return made

    def new_item_id(self, record: ResponseRecord, prefix: str) -> str:
        """The id of an item that a turn writes."""
        number = len(record.outputs)
        return f"{prefix}_{self._draws.token(record.key, 'item-id', ID_LENGTH, number)}"

    def new_call_id(self, record: ResponseRecord, number: int) -> str:
        """The id of a function call that a turn makes."""
        return f"call_{self._draws.token(record.key, 'call-id', 24, number)}"

    def _link(self, conversation: ConversationRecord, items: Sequence[Item], cause: str) -> None:
        """A client's items stand in a conversation now."""
        conversation.items.extend(items)
        self._trace_stored(conversation, items, cause)

    def _trace_stored(self, conversation: ConversationRecord, items: Sequence[Item], cause: str) -> None:
        for item in items:
            text = item.text
            if text is not None and item.view["role"] in ("user", "assistant"):
                self.trace_message(conversation, item, cause)

    def trace_message(self, conversation: ConversationRecord, item: Item, cause: str) -> None:
        """A message stands in a conversation, whoever wrote it."""
        role = item.view["role"]
        stored = MessageStored(
            thread_id=conversation.id, message_id=item.id, role=role, cause=cause, text=item.text or ""
        )
        conversation.standing[item.id] = None
        self._add("api", stored)

    def _trace_deleted(self, conversation: ConversationRecord, items: Sequence[Item], cause: str) -> None:
        for item in items:
            if item.text is not None:
                conversation.standing.pop(item.id, None)
                self._add("api", MessageDeleted(thread_id=conversation.id, message_id=item.id, cause=cause))

    def _trace_reads(self, record: ResponseRecord, cause: str) -> None:
        """Record what the model reads beside messages of user and assistant, and the metadata that the trace is to show."""
        view, thread = record.view, record.conversation.id
        metadata = view["metadata"]
        if metadata:
            shown = tuple(f"{name}={metadata[name]}" for name in sorted(self.traced_metadata & metadata.keys()))
            if shown:
                self._add("api", RunMetadata(run_id=record.id, thread_id=thread, pairs=shown))
        read = {item.id for item in (*record.history, *record.inputs)}
        missed = tuple(each for each in record.conversation.standing if each not in read)
        if missed:
            self._add("api", RunMisses(run_id=record.id, thread_id=thread, message_ids=missed))
        reads: list[tuple[str, str]] = []
        if view["instructions"]:
            given = view["instructions"]
            reads.append(("instructions", given if isinstance(given, str) else _as_json(given)))
        if view["tools"]:
            reads.append(("tools", _as_json(view["tools"])))
        for item in record.inputs:
            if item.view["type"] == "function_call_output":
                output = item.view["output"]
                reads.append(("tool_outputs", output if isinstance(output, str) else _as_json(output)))
            elif item.text is not None and item.view["role"] in ("system", "developer"):
                reads.append(("instructions", item.text))
        for source, text in reads:
            self._add("api", RunReads(run_id=record.id, thread_id=thread, source=source, cause=cause, text=text))

    def trace_writing(self, record: ResponseRecord) -> None:
        """Record that a response's text can be read from now on, piece by piece; nothing if nobody knows what it will be."""
        if text := ending_text(record.plan):
            self._add("api", RunWrites(run_id=record.id, thread_id=record.conversation.id, text=text))

    def note_metadata(self, thread_id: str, texts: Sequence[str], cause: str) -> None:
        """Record the words that a request wrote into metadata."""
        if texts:
            self._add("api", MetadataNoted(thread_id=thread_id, cause=cause, text="\n".join(texts)))

    def _view(self, conversation: ConversationRecord) -> Object:
        assert conversation.view is not None
        return conversation.view

    def _conversation(self, conversation_id: str) -> ConversationRecord:
        found = self.conversations.get(conversation_id)
        if found is None:
            raise response_errors.no_conversation(conversation_id)
        return found

    def _item(self, conversation: ConversationRecord, item_id: str) -> Item:
        for item in reversed(conversation.items):
            if item.id == item_id:
                return item
        raise response_errors.no_item(item_id)

    def _response(self, response_id: str) -> ResponseRecord:
        """A response that may be looked at: stored, and in the background or at its end, unless its stream named it."""
        found = self.responses.get(response_id)
        if found is None or not found.stored or not (found.background or found.ended):
            raise response_errors.no_response(response_id)
        return found


def _nothing(*_: Any) -> None:
    pass


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _page(items: list[Object], paging: Mapping[str, Any]) -> Object:
    given = dict.fromkeys(("limit", "order", "after", "before")) | {
        name: value for name, value in paging.items() if name in ("limit", "order", "after", "before")
    }
    return page_of(items, given["limit"], given["order"], given["after"], given["before"], response_errors.no_item)


def _listed(views: list[Object], *, has_more: bool) -> Object:
    return {
        "object": "list",
        "data": [dict(view) for view in views],
        "first_id": views[0]["id"] if views else None,
        "last_id": views[-1]["id"] if views else None,
        "has_more": has_more,
    }
