"""What the control API takes and gives, as models: its checks, its errors and its documentation come from here."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from relaysim.sim.backends.replies import EchoReplies, ScriptedReplies
from relaysim.sim.backends.webhook_events import ServedEvents
from relaysim.sim.doors.faults import ApiFault
from relaysim.sim.doors.server.control_trace import KINDS, Kind
from relaysim.sim.doors.simulation import ApiSettings
from relaysim.sim.trace.schema import SCHEMA, describe

SPEED_MAX: Final = 1_000_000.0
"""Virtual seconds per real second."""

ADVANCE_SECONDS_MAX: Final = 31_536_000.0
"""A year at once."""

_TABLE: Final = ConfigDict(extra="forbid", frozen=True)
_STRICT: Final = ConfigDict(extra="forbid", frozen=True, strict=True)

# The world


class ProfileName(BaseModel):
    """The backend's profile."""

    model_config = _TABLE
    name: str = Field(description="what settings call it", examples=["typical"])
    title: str = Field(description="one line for people")


class Counts(BaseModel):
    """How much there is."""

    model_config = _TABLE
    threads: int = Field(description="threads that are kept")
    runs: dict[str, int] = Field(description="runs that are kept, by state", examples=[{"queued": 0, "in_progress": 1}])
    requests: int = Field(
        description="requests to the simulated API since the world began; control requests do not count"
    )
    errors: int = Field(
        description="errors of the simulator itself since the server started, written to its standard error"
    )


class Overview(BaseModel):
    """The world in short."""

    model_config = _TABLE
    name: str = Field(description="`relaysim`")
    version: str = Field(description="the installed version")
    profile: ProfileName
    seed: int = Field(description="keys every draw of this world")
    speed: float = Field(description="virtual seconds per real second; 0: the clock stands still")
    virtual_seconds: float = Field(description="virtual time, since the world began")
    unix_seconds: float = Field(description="the same instant as the API's own clock shows it in `created_at`")
    counts: Counts
    links: dict[str, str] = Field(description="where everything else is")


# The clock


class Clock(BaseModel):
    """Virtual time."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"examples": [{"virtual_seconds": 30.0, "unix_seconds": 1762257630.0, "speed": 0.0}]},
    )
    virtual_seconds: float = Field(description="since the world began")
    unix_seconds: float = Field(description="the same instant as the API's own clock shows it in `created_at`")
    speed: float = Field(description="virtual seconds per real second; 0: the clock stands still")


class ClockChange(BaseModel):
    """How fast virtual time is to move from now on."""

    model_config = _STRICT
    speed: float | None = Field(
        default=None,
        ge=0,
        le=SPEED_MAX,
        allow_inf_nan=False,
        description="virtual seconds per real second; 0: the clock stands still, requests take no time; absent: as it is",
        examples=[0],
    )


class Advance(BaseModel):
    """A stretch of virtual time to let pass at once."""

    model_config = _STRICT
    seconds: float = Field(
        ge=0,
        le=ADVANCE_SECONDS_MAX,
        allow_inf_nan=False,
        description="how many virtual seconds pass; all that is due meanwhile happens, in order",
        examples=[30],
    )


# Faults


class NewFault(ApiFault):
    """A fault, as `[[faults]]` of scenario files; `window_from_now_seconds` may take the place of `window_seconds`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"kind": "status", "status": 503, "route": "messages.create", "nth": [1, 2]},
                {"kind": "response_lost", "route": "runs.create", "window_from_now_seconds": [0, 60]},
            ]
        }
    )
    window_from_now_seconds: tuple[float, float] | None = Field(
        default=None,
        description="as `window_seconds`, but counted from the present virtual instant; `window_seconds` counts from the "
        "world's beginning",
    )

    @model_validator(mode="after")
    def _one_window(self) -> NewFault:
        window = self.window_from_now_seconds
        if window is not None and self.window_seconds is not None:
            raise ValueError("give `window_seconds` or `window_from_now_seconds`, not both")
        if window is not None and not 0 <= window[0] < window[1]:
            raise ValueError(
                f"`window_from_now_seconds` must begin at 0 or later and end after it begins, not {list(window)}"
            )
        return self

    def at(self, now: float) -> ApiFault:
        """The fault with its window in virtual seconds since the world's beginning."""
        given = {name: getattr(self, name) for name in self.model_fields_set if name in ApiFault.model_fields}
        if self.window_from_now_seconds is not None:
            first, last = self.window_from_now_seconds
            given["window_seconds"] = (now + first, now + last)
        return ApiFault(**given)


class NewFaults(BaseModel):
    """Faults in order of precedence."""

    model_config = _TABLE
    faults: tuple[NewFault, ...] = Field(
        description="all that there are to be; none: an empty list",
        examples=[
            [{"kind": "slow_body", "seconds": 20, "probability": 0.1}, {"kind": "status", "status": 502, "html": True}]
        ],
    )


class FaultEntry(BaseModel):
    """A fault that is in force."""

    model_config = _TABLE
    index: int = Field(description="its place in the order of precedence, from 0")
    fired: int = Field(description="how many requests it has hit; while it closes the port, it counts once")
    fault: ApiFault


class Faults(BaseModel):
    """The faults in force, in order of precedence."""

    model_config = _TABLE
    faults: list[FaultEntry]


# The trace


class TraceQuery(BaseModel):
    """Which events to show."""

    model_config = _TABLE
    after: int = Field(default=0, ge=0, description="only events with a higher number; 0: from the first that is kept")
    limit: int = Field(default=1000, ge=1, le=10_000, description="events at most")
    kind: list[Kind] = Field(default=[], description="only this kind; can be given several times")
    thread: str | None = Field(
        default=None, description="only events about this thread, answers to its requests included"
    )
    format: Literal["json", "jsonl"] = Field(
        default="json",
        description="`jsonl`: one event per line; the cursor is then in the headers relaysim-next and relaysim-dropped",
    )


class TraceEvent(BaseModel):
    __doc__ = "One event. Fields by kind:\n\n" + "\n".join(
        f"- `{kind}`: {SCHEMA[kind].__doc__} "
        + "; ".join(f"`{name}`: {meaning}" for name, _, meaning in describe(SCHEMA[kind]))
        for kind in KINDS
    )

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "number": 2,
                    "time": 0.25,
                    "entity": "api",
                    "kind": "served",
                    "request_id": "req_0123456789abcdef0123456789abcdef",
                    "status": 200,
                    "error_message": None,
                    "detail": "",
                }
            ]
        },
    )
    number: int = Field(description="from 1 in this world, without gaps")
    time: float = Field(description="virtual seconds since the world began")
    entity: str = Field(description="where it happened: client, network or api")
    kind: str = Field(description="what happened")


class TracePage(BaseModel):
    """A part of the trace."""

    model_config = _TABLE
    events: list[TraceEvent] = Field(description="oldest first")
    next: int = Field(description="give it as `after` to go on from here")
    dropped: int = Field(description="events after `after` that are no longer kept, and that this reader has missed")


# Settings


class RefusedReplies(BaseModel):
    """Python code that replies: refused here, since it would import code. It can be set where the server is started."""

    model_config = ConfigDict(extra="allow", frozen=True)
    kind: Literal["callable"]


NewReplies = Annotated[
    EchoReplies | ScriptedReplies | RefusedReplies,
    Field(
        discriminator="kind",
        examples=[
            {
                "kind": "script",
                "replies": [{"tool_calls": [{"name": "weather", "arguments": {"city": "Lisbon"}}]}, {"text": "Sunny."}],
                "then": "loop",
            },
            {"kind": "echo"},
        ],
    ),
]


class Reset(ApiSettings):
    """Settings of the world to begin. What is absent stays as it was in the settings before, whatever its default here."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"seed": 7, "profile": "bad_day"}]})
    replies: NewReplies = Field(  # type: ignore[assignment]  # what is refused must be so before it is imported
        default_factory=EchoReplies, description="what assistants answer"
    )

    @field_validator("faults")
    @classmethod
    def _can_strike(cls, faults: tuple[ApiFault, ...], info: ValidationInfo) -> tuple[ApiFault, ...]:
        """Checked where it is known which API they are for: `api` is absent here as a rule."""
        return faults

    @field_validator("events")
    @classmethod
    def _has_events(cls, events: ServedEvents | None, info: ValidationInfo) -> ServedEvents | None:
        """Likewise."""
        return events
