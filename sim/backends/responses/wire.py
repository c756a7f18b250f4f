"""The wire of Responses and Conversations: its routes, and the conversation that a body names."""

from __future__ import annotations

from collections.abc import Mapping

from relaysim.sim.backends.calls import Call
from relaysim.sim.backends.responses.operations import OPERATIONS
from relaysim.sim.backends.wire import Routes, Wire


class ResponsesWire(Wire):
    """A turn's body names its conversation, as an id or as an object."""

    routes = Routes(OPERATIONS)
    spoken = "Responses API"
    polled = "responses.retrieve"

    def parse(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Call:
        """As `Wire.parse`."""
        call = super().parse(method, path, headers, body)
        if call.operation == "responses.create":
            call.thread_id = conversation_in(call.params)
        return call

    def takes_time(self, call: Call) -> bool:
        """As `Wire.takes_time`: a turn in the foreground, a stream, a cancel."""
        if call.operation == "responses.create":
            return bool(call.params.get("stream")) or not call.params.get("background")
        return call.operation == "responses.cancel" or super().takes_time(call)


def conversation_in(params: Mapping[str, object]) -> str | None:
    """The conversation that a turn's parameters name, if they do so in a form that can be read."""
    named = params.get("conversation")
    if isinstance(named, Mapping):
        named = named.get("id")
    return named if isinstance(named, str) else None
