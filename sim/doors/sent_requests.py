"""What requests to the API carry, taken down where somebody wants to compare two runs of a world.

A trace says of a request which operation it is, and of its body only what matters to customers and the judge. Two runs may
leave the same trace and yet have sent something else: other metadata, another model, another header.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from relaysim.sim.backends.calls import Call

SENT: str = "request.sent"
"""What the kind of its rows is called; no trace has it."""

Part = tuple[str, str]
Row = tuple[float, str, str, tuple[str, tuple[Part, ...]]]

_NAMED = ("thread_id", "run_id", "message_id", "assistant_id", "step_id")


class SentRequests:
    """Takes down every attempt at a request.

    Attributes:
        rows: like records of a trace: virtual seconds, the worker, `SENT`, and the operation with its parts, each by its
            name and as Python writes it.
    """

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def note_call(self, time: float, worker: str, call: Call) -> None:
        """An attempt that was made without HTTP: what its path names, and its parameters in their order."""
        named = {name: value for name in _NAMED if (value := getattr(call, name)) is not None}
        self._note(time, worker, call.operation, {**named, **call.params})

    def note_request(
        self, time: float, worker: str, operation: str, target: str, headers: Iterable[tuple[bytes, bytes]], body: bytes
    ) -> None:
        """An attempt by HTTP: its target, its headers in their order, and its body, of an object each of its names."""
        text = body.decode(errors="backslashreplace")
        try:
            content = json.loads(text) if text else {}
        except ValueError:
            content = None
        parts = content if isinstance(content, dict) else {"body": text}
        named = {f"header {name.decode('latin-1')}": value.decode("latin-1") for name, value in headers}
        self._note(time, worker, operation, {"path": target, **parts, **named})

    def _note(self, time: float, worker: str, operation: str, parts: Mapping[str, object]) -> None:
        written = tuple((name, repr(value)) for name, value in parts.items())
        self.rows.append((time, worker, SENT, (operation, written)))
