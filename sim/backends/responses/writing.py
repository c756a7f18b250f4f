"""What a turn writes: the items of its output, piece by piece, and the events that tell of them."""

from __future__ import annotations

from relaysim.sim.backends.json_values import Object
from relaysim.sim.backends.pieces import ending_text
from relaysim.sim.backends.replies import (
    Failure,
    Incomplete,
    Nothing,
    Reply,
    Several,
    Text,
    ToolCalls,
    ending_of,
)
from relaysim.sim.backends.responses.history import tokens_of_items
from relaysim.sim.backends.responses.records import Item, ResponseRecord, usage_of
from relaysim.sim.backends.responses.service import ResponsesService


class Writer:
    """Writes the outputs of one service's responses. Nothing here moves a response."""

    def __init__(self, service: ResponsesService) -> None:
        self._service = service

    def write(self, record: ResponseRecord, piece: str) -> None:
        """Add a piece to the text of a response; the first one begins its message."""
        self._begin_message(record)
        record.text += piece
        record.events.add(
            "response.output_text.delta",
            item_id=record.outputs[-1].id,
            output_index=len(record.outputs) - 1,
            content_index=0,
            delta=piece,
            logprobs=[],
        )

    def finish(self, record: ResponseRecord, status: str) -> None:
        """Write what is left of the plan, as far as the end allows; the object's outputs, usage and reason.

        Args:
            record: which.
            status: in which it is about to end: `completed`, `incomplete`, `failed`, `cancelled`.
        """
        plan, view = record.plan, record.view
        if status in ("completed", "incomplete") and plan is not None:
            for part in plan.before if isinstance(plan, Several) else ():
                if isinstance(part, Text):
                    self.write(record, part.text)
                    self._end_message(record, "completed")
                    record.text = ""
            ending = ending_of(plan)
            if isinstance(ending, ToolCalls):
                self._call_tools(record, ending)
            elif not isinstance(ending, Nothing):
                text = ending_text(plan)
                if not text.startswith(record.text):
                    text = record.text
                if text[len(record.text) :] or not record.text:
                    self.write(record, text[len(record.text) :])
                self._end_message(record, "completed" if status == "completed" else "incomplete")
        elif record.text:
            self._end_message(record, "incomplete")
        if status == "incomplete":
            view["incomplete_details"] = {"reason": _reason(plan)}
        elif status == "failed":
            failure = ending_of(plan) if plan is not None else None
            failure = failure if isinstance(failure, Failure) else Failure()
            view["error"] = failure._asdict()
        if status == "completed":
            view["completed_at"] = int(self._service.now())
        # A cancelled response shows no output (documented), whatever its stream has told.
        view["output"] = [] if status == "cancelled" else [item.view for item in record.outputs]
        prompt = tokens_of_items((item.view for item in (*record.history, *record.inputs)), view["instructions"])
        written = sum(tokens_of_items([item.view]) for item in record.outputs)
        view["usage"] = usage_of(prompt, written) if status in ("completed", "incomplete") else None

    def tell_end(self, record: ResponseRecord) -> None:
        """The last event, once the response has ended."""
        status = record.view["status"]
        kind = status if status in ("completed", "incomplete") else "failed"
        if record.events.are_wanted:
            record.events.add(f"response.{kind}", response=record.shown())
        record.events.end()

    def _begin_message(self, record: ResponseRecord) -> None:
        if record.outputs and record.outputs[-1].view["status"] == "in_progress":
            return
        place = len(record.outputs)
        view: Object = {
            "id": self._service.new_item_id(record, "msg"),
            "type": "message",
            "status": "in_progress",
            "role": "assistant",
            "content": [],
        }
        record.outputs.append(Item(view, record.id))
        if not record.events.are_wanted:
            return
        self._service.trace_writing(record)
        record.events.add("response.output_item.added", output_index=place, item=dict(view))
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        record.events.add(
            "response.content_part.added", item_id=view["id"], output_index=place, content_index=0, part=part
        )

    def _end_message(self, record: ResponseRecord, status: str) -> None:
        view = record.outputs[-1].view
        part = {"type": "output_text", "text": record.text, "annotations": [], "logprobs": []}
        view["content"] = [part]
        view["status"] = status
        index = len(record.outputs) - 1
        place = {"item_id": view["id"], "output_index": index, "content_index": 0}
        record.events.add("response.output_text.done", **place, text=record.text, logprobs=[])
        record.events.add("response.content_part.done", **place, part=part)
        record.events.add("response.output_item.done", output_index=index, item=dict(view))

    def _call_tools(self, record: ResponseRecord, plan: ToolCalls) -> None:
        for number, call in enumerate(plan.calls, start=len(record.outputs)):
            view: Object = {
                "id": self._service.new_item_id(record, "fc"),
                "type": "function_call",
                "status": "in_progress",
                "call_id": call.id or self._service.new_call_id(record, number),
                "name": call.name,
                "arguments": "",
            }
            record.outputs.append(Item(view, record.id))
            record.events.add("response.output_item.added", output_index=number, item=dict(view))
            view["arguments"], view["status"] = call.arguments, "completed"
            place = {"item_id": view["id"], "output_index": number}
            record.events.add("response.function_call_arguments.delta", **place, delta=call.arguments)
            record.events.add(
                "response.function_call_arguments.done", **place, name=call.name, arguments=call.arguments
            )
            record.events.add("response.output_item.done", output_index=number, item=dict(view))


def _reason(plan: Reply | None) -> str:
    ending = None if plan is None else ending_of(plan)
    reason = ending.reason if isinstance(ending, Incomplete) else "max_output_tokens"
    return "max_output_tokens" if reason in ("max_completion_tokens", "max_prompt_tokens") else reason
