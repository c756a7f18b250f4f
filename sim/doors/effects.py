"""What each kind of API fault does to one attempt at a request: one table for every door.

A door (the transport in a world, the served socket) knows the parts of an effect, never the kinds: how to refuse a
connection, how to keep silent, how to end a body. So a kind that puts these parts together in a new way is a row here,
and its words and fields in `relaysim.sim.doors.faults`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal, NamedTuple

FaultKind = Literal[
    "connect_error",
    "request_lost",
    "response_lost",
    "read_timeout",
    "status",
    "reset",
    "truncated",
    "malformed",
    "slow_body",
    "conversation_gone",
]

Failure = Literal["ConnectError", "ReadTimeout", "ReadError", "RemoteProtocolError", "malformed"]
"""What can become of an answer, as `Answer.failure` and the trace say it; all but the last are httpx2 exceptions."""

CONNECT_ERROR: Final = "ConnectError"
READ_TIMEOUT: Final = "ReadTimeout"
READ_ERROR: Final = "ReadError"
REMOTE_PROTOCOL_ERROR: Final = "RemoteProtocolError"
MALFORMED: Final = "malformed"

PIECES: Final = 10
"""Into how many pieces a body falls that is slow."""


def first_half(body: bytes) -> bytes:
    """The first half of a body's characters, at least one less than all; of a JSON object that is never JSON."""
    text = body.decode()
    return text[: len(text) // 2].encode()


def first_event_cut(events: bytes) -> bytes:
    """The first event of a stream, with its JSON cut off."""
    first, _, _ = events.partition(b"\n\n")
    name, separator, data = first.partition(b"\ndata: ")
    return name + separator + first_half(data) + b"\n\n"


def _all(body: bytes) -> bytes:
    return body


class Effect(NamedTuple):
    """What becomes of one attempt.

    Attributes:
        connects: whether the client gets a connection; if not, nothing else happens.
        processed: when the service processes the request: `in_time`, `late` (once the client has given up) or `never`.
            A fault whose answer is `replaced` says that itself.
        answered: whether an answer sets out; if not, the client waits until it gives up.
        replaced: the fault's own error answer takes the place of the service's.
        ends: how the answer's body ends: `in_order`, `reset` (the connection is reset) or `closed` (before its length).
        damages: whether what is sent is less than the answer. After the first events of a stream nothing follows then.
        body: what is sent of a body, if it is damaged.
        events: what is sent of the first events of a stream, if it is damaged.
        slow: whether the body, or the first events of a stream, takes the fault's `seconds` to arrive.
        gone: whether the conversation that the request names has vanished by the time the service processes it.
    """

    connects: bool = True
    processed: Literal["in_time", "late", "never"] = "in_time"
    answered: bool = True
    replaced: bool = False
    ends: Literal["in_order", "reset", "closed"] = "in_order"
    damages: bool = False
    body: Callable[[bytes], bytes] = _all
    events: Callable[[bytes], bytes] = _all
    slow: bool = False
    gone: bool = False

    @property
    def failure(self) -> Failure | None:
        """What the client finds wrong with the answer; None: it is whole."""
        return _FAILURES[self.ends] if self.damages else None


_FAILURES: Final[Mapping[str, Failure]] = {
    "in_order": MALFORMED,
    "reset": READ_ERROR,
    "closed": REMOTE_PROTOCOL_ERROR,
}

EFFECTS: Final[Mapping[FaultKind, Effect]] = {
    "connect_error": Effect(connects=False, processed="never", answered=False),
    "request_lost": Effect(processed="never", answered=False),
    "response_lost": Effect(answered=False),
    "read_timeout": Effect(processed="late", answered=False),
    "status": Effect(replaced=True),
    "reset": Effect(ends="reset", damages=True, body=first_half),
    "truncated": Effect(ends="closed", damages=True, body=first_half),
    "malformed": Effect(damages=True, body=first_half, events=first_event_cut),
    "slow_body": Effect(slow=True),
    "conversation_gone": Effect(gone=True),
}
