"""A call of an API and its answer, whatever they came by (neither is HTTP), and the operations that can be called.

The wire layer parses requests into calls and renders answers; the direct lane makes calls and reads answers without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from relaysim.sim.backends.errors import ApiError
from relaysim.sim.backends.streaming import EventStream

Detail = str | int
UNKNOWN: Final = "unknown"
"""The operation of a call for which there is no route."""

_NO_PARAMS: Final[dict[str, Any]] = {}


class Call:
    """One request for the service, whatever it came by.

    Attributes:
        operation: a name of `OPERATIONS`, or `UNKNOWN`.
        thread_id, run_id, message_id, assistant_id, step_id: those the route names; None otherwise.
        params: the body's or query's parameters.
        refusal: set if the request is refused before the service sees it (no such route, no key, no JSON).
        client: who sent it, where a door knows several; else `client`.
    """

    __slots__ = (
        "assistant_id",
        "client",
        "message_id",
        "operation",
        "params",
        "refusal",
        "run_id",
        "step_id",
        "thread_id",
    )

    def __init__(
        self,
        operation: str,
        thread_id: str | None = None,
        run_id: str | None = None,
        message_id: str | None = None,
        params: dict[str, Any] = _NO_PARAMS,
        refusal: ApiError | None = None,
        *,
        assistant_id: str | None = None,
        step_id: str | None = None,
    ) -> None:
        self.operation = operation
        self.thread_id = thread_id
        self.run_id = run_id
        self.message_id = message_id
        self.params = params
        self.refusal = refusal
        self.assistant_id = assistant_id
        self.step_id = step_id
        self.client = "client"


class PendingAnswer:
    """An answer that the service gives later: that of a turn whose client waits for its end.

    Args:
        abandoned: called once if the client goes before the answer is given: it has closed its connection, and the
            service knows.

    Attributes:
        given: the answer is there.
    """

    __slots__ = ("_abandoned", "_answer", "_then", "given")

    def __init__(self, abandoned: Callable[[], None]) -> None:
        self._abandoned: Callable[[], None] | None = abandoned
        self._answer: Answer | None = None
        self._then: Callable[[], None] | None = None
        self.given = False

    def belongs_to(self, answer: Answer) -> None:
        """Whose payload or error it will give."""
        self._answer = answer

    def give(self, payload: Any | None = None, error: ApiError | None = None) -> None:
        """Give the answer now: an object, or the error that refuses after all. Only the first time counts."""
        if self.given:
            return
        self.given, self._abandoned = True, None
        if self._answer is not None:
            self._answer.settle(payload, error)
        then, self._then = self._then, None
        if then is not None:
            then()

    def then(self, action: Callable[[], None]) -> None:
        """Call `action` as soon as the answer is given, at that very instant; now if it is."""
        if self.given:
            action()
        else:
            self._then = action

    def abandon(self) -> None:
        """The client has gone."""
        abandoned, self._abandoned = self._abandoned, None
        if abandoned is not None:
            abandoned()


class Answer:
    """What came of one attempt at a call.

    Attributes:
        status: HTTP status; 0 if no answer reached the client.
        payload: the object (or a `RawContent`), where it succeeded; else None.
        stream: the events that are the answer in the payload's place, where a stream was asked for.
        pending: set where the answer comes later; until then the payload is what the object looked like at first.
        error: the error, where the service refused.
        headers: further response headers, lower case.
        detail: for the trace; what the operation's docstring in `operations` says.
        failure: `ConnectError`, `ReadTimeout`, `ReadError`, `RemoteProtocolError` or `malformed` where no answer, or not a
            whole one, reached the client.
        request_id: which attempt of which worker, as the trace names it.
        draw_key, draw_index: what keys the draws of this attempt.
    """

    __slots__ = (
        "detail",
        "draw_index",
        "draw_key",
        "error",
        "failure",
        "headers",
        "payload",
        "pending",
        "request_id",
        "status",
        "stream",
    )

    def __init__(
        self,
        status: int,
        payload: Any = None,
        error: ApiError | None = None,
        detail: Detail = "",
        failure: str | None = None,
    ) -> None:
        self.status = status
        self.payload = payload
        self.error = error
        self.headers: Mapping[str, str] = error.headers if error is not None else {}
        self.detail = detail
        self.failure = failure
        self.stream: EventStream | None = None
        self.pending: PendingAnswer | None = None
        self.request_id = ""
        self.draw_key = ""
        self.draw_index = 0

    def settle(self, payload: Any | None, error: ApiError | None) -> None:
        """What was pending is known."""
        if error is None:
            self.payload = payload
        else:
            self.status, self.payload, self.error, self.headers = error.status, None, error, error.headers


class RawContent(NamedTuple):
    """A payload that is no JSON: its bytes, and their media type."""

    content: bytes
    media_type: str


class Operation(NamedTuple):
    """One row: `path` is relative to the API's base; `params` are accepted in body or query.

    `perform(service, call, cause)` lets a service process such a call; it returns the object and, for the trace, a detail.
    Names in braces in the path are attributes of `Call`.
    """

    name: str
    method: str
    path: str
    params: frozenset[str]
    perform: Callable[[Any, Any, str], tuple[Any, Detail]]
