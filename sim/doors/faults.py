"""Faults of the API and of the way to it, as scenario files write them.

Each `[[faults]]` table is one `ApiFault`. For every attempt at a request (the SDK's own retries are attempts of their
own) the list is read from the top, and the first fault that fires decides; so several can be combined. What the kinds
do is said by `relaysim.sim.doors.effects`, for the transport in a world and for the served socket alike:

| kind            | what the server does                            | what the client sees                            |
|-----------------|-------------------------------------------------|-------------------------------------------------|
| `connect_error` | nothing                                         | `ConnectError`, after the way out               |
| `request_lost`  | nothing                                         | `ReadTimeout`, after its own read timeout       |
| `response_lost` | processes the request in time                   | `ReadTimeout`, after its own read timeout       |
| `read_timeout`  | processes it late, when the client has given up | `ReadTimeout`, after its own read timeout       |
| `status`        | nothing, unless `processed`                     | that status, with the body the API sends for it |
| `reset`         | processes the request in time                   | `ReadError` in the middle of the body           |
| `truncated`     | processes the request in time                   | `RemoteProtocolError` in the middle of the body |
| `malformed`     | processes the request in time                   | a whole response whose JSON is cut off          |
| `slow_body`     | processes the request in time                   | the body in ten pieces, evenly over `seconds`   |
| `conversation_gone` | has lost the conversation that it names        | what the API says of an unknown one, for ever   |

A conversation is lost as if somebody else had deleted it, or it had expired: it was there, and from now on there is none of
its name, with all that was in it. Its route takes only operations that name one (`messages.*`, `runs.*`).

A client without a read timeout waits for ever where the table says `ReadTimeout`; the SDK's default is 600 s. What the
SDK makes of them: `ConnectError`, `ReadTimeout`, `ReadError` and `RemoteProtocolError` are retried, and end as
`APITimeoutError` or `APIConnectionError`; JSON that is cut off is not retried and raises `json.JSONDecodeError`, or is
the `body`, as text, of the status error that it belongs to. A `slow_body` only costs time, unless the gap between two
of its pieces exceeds the client's read timeout: then it is a `ReadTimeout`.

A streamed answer meets the last four kinds after its head: `reset` and `truncated` break it off after the events that
came with the head, or after so many as `after_events` says; `malformed` cuts off the first event's JSON and nothing follows,
and under `slow_body` those first events dribble and the rest queues up behind them. The SDK does not retry a stream that has
begun.

All of this is the Python SDK. The npm package reads bodies outside its retries, so it does not retry `reset` and
`truncated`, and raises what its HTTP library raises.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from relaysim.sim.backends.calls import Answer, Call
from relaysim.sim.backends.errors import ApiError, for_status
from relaysim.sim.backends.other_endpoints.routes import OTHER_OPERATIONS
from relaysim.sim.backends.protocol import Backend, Service
from relaysim.sim.doors.effects import EFFECTS, Effect, FaultKind
from relaysim.sim.faults import AtOccasions, FaultPlan
from relaysim.sim.faults.when import NthAttempts, SiteProbability, WindowSeconds
from relaysim.sim.kernel import Draws
from relaysim.sim.validation_words import checked_entries, did_you_mean

_OF_STATUS: Final = ("status", "retry_after_seconds", "headers", "processed", "html")
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?|")
_FRAMING: Final = ("content-length", "content-encoding", "transfer-encoding", "connection")


class ApiFault(BaseModel):
    """One fault: what happens, to which requests, how often and when."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: FaultKind = Field(
        description="`connect_error`: never leaves; `request_lost`: never arrives; `response_lost`: processed, unanswered; "
        "`read_timeout`: processed after the client gave up; `status`: answered with that HTTP status; the others are "
        "processed in time, and the answer suffers: `reset`: the connection is reset in mid-body; `truncated`: the body "
        "ends before its Content-Length; `malformed`: the JSON is cut off; `slow_body`: the body dribbles over "
        "`seconds`; `conversation_gone`: the conversation that the request names is no longer there when it arrives, with "
        "all that was in it (a thread that somebody deleted, or that expired): on Threads a 404, as for each later request"
    )
    route: str = Field(default="*", description="an operation's name, or a pattern such as `messages.*`")
    probability: float = Field(default=1.0, ge=0, le=1, description="share of the matching attempts that it hits")
    site_probability: SiteProbability = Field(
        default=1.0, description="how likely it hits an operation at all, decided once per world for each"
    )
    window_seconds: WindowSeconds = Field(
        default=None, description="only attempts that leave at or after the first and before the second virtual second"
    )
    nth: NthAttempts = Field(
        default=None, description="only the attempts with these numbers, counted from 1 over the world, per route given"
    )
    status: int | None = Field(default=None, ge=400, le=599, description="HTTP status, for kind `status`")
    retry_after_seconds: int | None = Field(default=None, ge=1, description="sent as Retry-After, for kind `status`")
    headers: dict[str, str] = Field(default_factory=dict, description="further response headers, for kind `status`")
    processed: bool = Field(default=False, description="kind `status`: the server does its work before it fails")
    html: bool = Field(default=False, description="status 502: an HTML page instead of JSON")
    seconds: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="kind `slow_body`: how long the body takes to arrive, in ten pieces; a client whose read timeout is "
        "shorter than a tenth of it gives up. Kind `read_timeout`: how long after the client gave up the request is "
        "processed; absent: as long as the way out takes",
    )

    after_events: int | None = Field(
        default=None,
        ge=1,
        description="kinds `reset` and `truncated`: of a streamed answer, how many events arrive before it breaks off, "
        "and other answers stay whole; absent: those that come with its head",
    )

    @field_validator("headers")
    @classmethod
    def _can_be_sent(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not _HEADER_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name of a header: letters, digits and - only")
            if name.lower() in _FRAMING:
                raise ValueError(f"{name} says how the body is sent, which is not for a fault to say: leave it out")
            if not _HEADER_VALUE.fullmatch(value):
                raise ValueError(f"the value of {name} must be printable ASCII without spaces around it, not {value!r}")
        if len({name.lower() for name in headers}) < len(headers):
            raise ValueError("a header is given twice, in upper and in lower case: keep one of them")
        return headers

    @model_validator(mode="after")
    def _fields_fit_the_kind(self) -> ApiFault:
        if self.kind == "status":
            if self.status is None:
                raise ValueError("kind 'status' needs `status`, the HTTP status to answer with: 400 to 599")
            if self.html and self.status != 502:
                raise ValueError(
                    f"`html` belongs to status 502 only: leave it out, or answer 502 instead of {self.status}"
                )
            if self.retry_after_seconds is not None and any(name.lower() == "retry-after" for name in self.headers):
                raise ValueError("Retry-After is given twice: keep `retry_after_seconds`, or the header")
        else:
            of_status = [f"`{name}`" for name in _OF_STATUS if name in self.model_fields_set]
            if of_status:
                belong, them = ("belongs", "it") if len(of_status) == 1 else ("belong", "them")
                raise ValueError(
                    f"{', '.join(of_status)} {belong} to kind 'status' only, not to {self.kind!r}: leave {them} out"
                )
        if self.after_events is not None and self.kind not in ("reset", "truncated"):
            raise ValueError(
                f"`after_events` belongs to kinds 'reset' and 'truncated' only, not to {self.kind!r}: leave it out"
            )
        if self.kind == "slow_body":
            if self.seconds is None:
                raise ValueError(
                    "kind 'slow_body' needs `seconds`, how long the body takes to arrive: a number above 0"
                )
        elif "seconds" in self.model_fields_set and self.kind != "read_timeout":
            raise ValueError(
                f"`seconds` belongs to kinds 'slow_body' and 'read_timeout' only, not to {self.kind!r}: leave it out"
            )
        return self

    @property
    def when(self) -> AtOccasions:
        """When it strikes: it watches the attempts at the operations of its route."""
        return AtOccasions(
            self.route, self.probability, self.window_seconds, self.nth, site_probability=self.site_probability
        )

    @property
    def effect(self) -> Effect:
        """What it does."""
        return EFFECTS[self.kind]

    @property
    def slow_seconds(self) -> float:
        """How long the body, or the first events of a stream, takes to arrive; 0: it arrives at once."""
        return self.seconds if self.seconds is not None and self.effect.slow else 0.0

    def late_seconds(self, way_out: float) -> float:
        """How long after its client has given up a request is processed that is processed late.

        Args:
            way_out: how long the request was to be on its way.
        """
        return way_out if self.seconds is None else self.seconds

    def error(self) -> ApiError:
        """The error answer of a fault that replaces the service's answer."""
        assert self.status is not None
        error = for_status(self.status, html=self.html, retry_after_seconds=self.retry_after_seconds)
        error.headers.update({name.lower(): value for name, value in self.headers.items()})
        return error


def wrong_routes(faults: Iterable[ApiFault], backend: Backend) -> Iterator[tuple[int, str]]:
    """The faults that could never strike, since that API has no such operation: their positions, and what is wrong."""
    names = [operation.name for operation in backend.operations]
    beside = [operation.name for operation in OTHER_OPERATIONS]
    for position, fault in enumerate(faults):
        hit = names if fault.effect.gone else [*names, *beside]
        if not any(fnmatchcase(name, fault.route) for name in hit):
            yield (
                position,
                f"{fault.route!r} matches no operation; {did_you_mean(fault.route, names, what='there are')}",
            )
        elif fault.effect.gone:
            naming = _naming_conversations(backend)
            others = [name for name in names if fnmatchcase(name, fault.route) and name not in naming]
            if others:
                yield position, f"{fault.route!r} matches {others[0]}, which names no conversation that could be gone"


def _naming_conversations(backend: Backend) -> frozenset[str]:
    named = {each.name for each in backend.operations if "{thread_id}" in each.path}
    return frozenset(named) | backend.roles.appends | backend.roles.starts


def check_routes(faults: tuple[ApiFault, ...], backend: Backend) -> tuple[ApiFault, ...]:
    """The same faults, for a validator of whatever names both.

    Raises:
        pydantic.ValidationError: one of them could never strike; its place is in the list.
    """
    return checked_entries(faults, "route", wrong_routes(faults, backend))


def answer_under(fault: ApiFault, process: Callable[[], Answer], lose: Callable[[], None]) -> Answer:
    """What is answered to a request that arrives under a fault: the service's answer, or the fault's in its place.

    Args:
        fault: whatever its kind.
        process: lets the service process the request. Called now, or not at all.
        lose: lets the conversation that the request names vanish from the service.
    """
    if fault.effect.gone:
        lose()
    if not fault.effect.replaced:
        return process()
    if fault.processed:
        unseen = process().stream
        if unseen is not None:
            unseen.detach()
    error = fault.error()
    return Answer(error.status, error=error)


def lose_conversation(service: Service, call: Call) -> None:
    """Let the conversation that a call names vanish from a service, if it names one."""
    if call.thread_id is not None:
        service.lose_conversation(call.thread_id)


class ApiFaultPlan(FaultPlan[ApiFault]):
    """The API's faults of one world. Of those that strike an attempt the first decides.

    Args:
        faults: in order of precedence.
        draws: the world's.
    """

    __slots__ = ("_draws",)

    def __init__(self, faults: Iterable[ApiFault], draws: Draws) -> None:
        super().__init__(
            faults, lambda position, operation: draws.uniform(f"site {operation}", f"api-fault-{position}", 0)
        )
        self._draws = draws

    def decide(self, operation: str, now: float, draw_key: str, draw_index: int) -> ApiFault | None:
        """The fault that hits this attempt, if one does. Call it once per attempt: it counts.

        Args:
            operation: what is attempted.
            now: virtual seconds, as the attempt leaves.
            draw_key, draw_index: key the attempt's draws.
        """
        rare = self._draws.rare
        position = self.first_hit(
            self.watching(operation), now, lambda place, _: rare(draw_key, f"fault-{place}", draw_index)
        )
        return None if position is None else self.faults[position]
