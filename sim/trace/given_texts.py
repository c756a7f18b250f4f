"""What a relay gives a conversation besides its customer's messages."""

from __future__ import annotations

from typing import NamedTuple

from relaysim.sim.trace.subjects import Run


class GivenText(NamedTuple):
    """A text that a relay gives a thread's model, or its readers, in another way than as a customer's message.

    Attributes:
        place: `instructions`, `tools`, `tool_outputs`, `metadata`, or `replies`: a message in the assistant's name.
        cause: the request that gave it.
        run: whose it is; None: the thread's, or one that has just been created.
    """

    thread: str
    text: str
    cause: str
    time: float
    place: str
    run: Run | None = None
