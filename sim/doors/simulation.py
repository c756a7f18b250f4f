"""A simulated API without a world: one clock, one service, one set of runs' lives. What every door outside worlds builds on.

    api = SimulatedApi(ApiSettings(seed=7))
    status, headers, body = api.handle("POST", "/v1/threads", headers, b"{}")
    api.kernel.advance_to(api.kernel.now + 30.0)

Nothing here waits, reads a clock or opens a socket: virtual time moves when somebody moves `kernel`. Memory does not grow
with the number of requests: the trace keeps the newest records, and of more than `threads_max` threads those that have
been idle for longest are forgotten.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from relaysim.sim.backends import DEFAULT, backend_named
from relaysim.sim.backends.calls import Answer, Call
from relaysim.sim.backends.other_endpoints.endpoints import OtherEndpoints
from relaysim.sim.backends.other_endpoints.settings import OtherEndpointsSettings
from relaysim.sim.backends.profile import Profile, load_profile
from relaysim.sim.backends.protocol import Backend, Service, ServiceOptions
from relaysim.sim.backends.replies import EchoReplies, Failure, Replier, Replies, Reply, Turn, checked
from relaysim.sim.backends.webhook_events import Attempt, ServedEvents, WebhookEvents
from relaysim.sim.backends.wire import Wire, request_id_header
from relaysim.sim.doors import effects
from relaysim.sim.doors.faults import ApiFault, ApiFaultPlan, answer_under, check_routes, lose_conversation
from relaysim.sim.doors.latency import RequestLatency
from relaysim.sim.kernel import Kernel, Record, kind_of, named
from relaysim.sim.trace.schema import FaultStruck, RequestSent, RequestServed

if TYPE_CHECKING:
    from relaysim.sim.kernel.trace import Clock, Fields

DRAW_KEY: Final = "request"
"""What the draws of a request are keyed by, with its number."""


class ApiSettings(BaseModel):
    """Everything that makes one simulated API: with the same settings and the same calls at the same virtual instants, every
    byte that it answers is the same.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    api: str = Field(default=DEFAULT, min_length=1, description="which API is simulated: a backend's name")
    profile: str = Field(
        default="typical", min_length=1, description="a shipped profile's name, or a path to a .toml file"
    )
    overrides: dict[str, Any] = Field(
        default_factory=dict,
        description="numbers of the profile to replace, as `relaysim.sim.backends.profile.override` takes them",
    )
    faults: tuple[ApiFault, ...] = Field(default=(), description="in order of precedence")
    replies: Replies = Field(default_factory=EchoReplies, description="what assistants answer")
    other_endpoints: OtherEndpointsSettings = Field(
        default_factory=OtherEndpointsSettings,
        description="what chat completions and transcriptions say, which bots call beside the API",
    )
    seed: int = Field(default=0, ge=0, description="keys every draw: ids, latencies, which runs are stuck")
    assistants: Literal["any"] | tuple[str, ...] = Field(
        default=(), description="ids that exist without having been created; `any`: every well-formed one"
    )
    keys: tuple[str, ...] | None = Field(default=None, description="API keys that are let in; absent: any")
    poll_after_ms: int | None = Field(
        default=None, ge=0, description="sent as openai-poll-after-ms with each run; absent: the header is not sent"
    )
    latency: bool = Field(
        default=True, description="whether requests take the profile's request_seconds and slow_seconds"
    )
    threads_max: int = Field(
        default=10_000,
        ge=1,
        description="threads that are kept; beyond it, those idle for longest are forgotten, and of as many assistants the "
        "oldest",
    )
    trace_records_max: int = Field(default=100_000, ge=0, description="records of the trace that are kept, the newest")
    body_bytes_max: int = Field(default=4 * 1024 * 1024, ge=0, description="largest request body, in bytes")
    events: ServedEvents | None = Field(
        default=None,
        description="where and how a server tells of the end of turns (only `responses`, of turns in the background); "
        "absent: nobody is told",
    )
    pretty: bool = Field(default=False, description="whether answers are indented, as the real ones are")

    @field_validator("api")
    @classmethod
    def _is_there(cls, api: str) -> str:
        return backend_named(api).name

    @field_validator("faults")
    @classmethod
    def _can_strike(cls, faults: tuple[ApiFault, ...], info: ValidationInfo) -> tuple[ApiFault, ...]:
        return check_routes(faults, backend_named(info.data["api"])) if "api" in info.data else faults

    @field_validator("events")
    @classmethod
    def _has_events(cls, events: ServedEvents | None, info: ValidationInfo) -> ServedEvents | None:
        if events is not None and "api" in info.data and not backend_named(info.data["api"]).has_events:
            raise ValueError(f"the simulated {backend_named(info.data['api']).title} tells of nothing by itself")
        return events


_new_record: Callable[[type[Record], tuple[float, str, str, Fields]], Record] = tuple.__new__


class RecentTrace:
    """The newest domain events, numbered from 1 in the order in which they happened.

    Args:
        clock: whatever knows the virtual time.
        records_max: how many are kept.
        told: hears of each event, with its virtual time.

    Attributes:
        count: how many there have ever been; also the number of the newest.
        records: those that are kept, oldest first.
    """

    __slots__ = ("_clock", "_told", "count", "records")

    def __init__(self, clock: Clock, records_max: int, told: Callable[[float, Fields], object] | None = None) -> None:
        self._clock = clock
        self._told = told
        self.count = 0
        self.records: deque[Record] = deque(maxlen=records_max)

    def add(self, entity: str, event: Fields) -> None:
        """Record an event now; its class has a `record_kind`."""
        self.count += 1
        # Past the named tuple's own constructor, which takes twice as long.
        self.records.append(_new_record(Record, (self._clock.now, entity, kind_of(type(event)), event)))
        if self._told is not None:
            self._told(self._clock.now, event)

    @property
    def dropped(self) -> int:
        """How many of the oldest are no longer kept; the oldest that is has the number `dropped + 1`."""
        return self.count - len(self.records)

    def after(self, number: int, limit: int | None = None) -> list[Record]:
        """The kept records whose number is above `number`, oldest first, at most `limit`.

        The first one's number is `max(number, dropped) + 1`: if `dropped` is above `number`, the reader has missed some.
        """
        start = max(number - self.dropped, 0)
        stop = None if limit is None else start + limit
        return list(islice(self.records, start, stop))


class SimulatedApi:
    """The simulated API at one virtual instant, which is `kernel.now`.

    Args:
        settings: what it is like.
        start_seconds: what Unix time it is at virtual 0.
        on_event: hears of each event that the trace records, with its virtual time.

    Attributes:
        settings, start_seconds: as given, or as given to the last `reset`.
        profile: the profile with its overrides.
        backend: which API is simulated.
        kernel, service, wire: of the present world; `reset` makes new ones.
        others: the endpoints beside the API, likewise.
        latency: of the present world's requests; their draws are keyed by `DRAW_KEY` and their numbers.
        faults: the plan of the present faults, with how often each has fired.
        trace: the newest domain events: `request` and `served` of every request (the id is the answer's `x-request-id`),
            `run.state`, `message.stored`, and `fault`.
        requests: how many requests have been numbered.
        on_error: told what a replier raises; its run fails. By default nobody.
        post: brings an attempt to deliver an event to a URL. By default nobody does, and it fails.

    Raises:
        FileNotFoundError: no such profile.
        tomllib.TOMLDecodeError: the profile is no TOML.
        pydantic.ValidationError: the profile's mistakes.
    """

    kernel: Kernel
    backend: Backend
    service: Service
    others: OtherEndpoints
    latency: RequestLatency
    faults: ApiFaultPlan
    wire: Wire
    trace: RecentTrace
    profile: Profile
    requests: int

    def __init__(
        self,
        settings: ApiSettings,
        start_seconds: float,
        on_event: Callable[[float, Fields], object] | None = None,
    ) -> None:
        self._on_event = on_event
        self.settings = settings
        self.start_seconds = start_seconds
        self.on_error: Callable[[BaseException], None] = _ignore
        self.post: Callable[[Attempt, str], None] = _nobody_sends
        self._begin(settings, self._load(settings))

    def reset(self, settings: ApiSettings | None = None, start_seconds: float | None = None) -> None:
        """Begin a fresh world at virtual 0. What is not given stays as it was; nothing changes if the profile is bad.

        Raises:
            FileNotFoundError, tomllib.TOMLDecodeError, pydantic.ValidationError: as the constructor.
        """
        if settings is None:
            settings, profile = self.settings, self.profile
        else:
            profile = self._load(settings)
        if start_seconds is not None:
            self.start_seconds = start_seconds
        self._begin(settings, profile)

    def _load(self, settings: ApiSettings) -> Profile:
        return load_profile(settings.profile, settings.overrides, backend_named(settings.api).profile)

    def _make_kernel(self, seed: int) -> Kernel:
        return Kernel(root=0, replication=seed)

    def _open_trace(self, kernel: Kernel) -> RecentTrace:
        kernel.trace.close()  # it would keep everything
        return RecentTrace(kernel.env, self.settings.trace_records_max, self._on_event)

    def _begin(self, settings: ApiSettings, profile: Profile) -> None:
        replier = self._guarded(settings.replies.replier())  # the last that can fail
        start_seconds = self.start_seconds
        self.settings, self.profile = settings, profile
        self.backend = backend = backend_named(settings.api)
        self.kernel = kernel = self._make_kernel(settings.seed)
        self.trace = self._open_trace(kernel)
        options = ServiceOptions(
            replier, None if settings.assistants == "any" else settings.assistants, settings.threads_max
        )
        if settings.events is not None:
            url = settings.events.url
            events = WebhookEvents(
                kernel,
                lambda: start_seconds + kernel.now,
                self.trace,
                settings.events,
                lambda attempt: self.post(attempt, url),
            )
            options = options._replace(announce=events.announce)
        self.service = backend.start(
            kernel,
            profile,
            now=lambda: start_seconds + kernel.now,
            trace=self.trace,
            options=options,
        )
        self.others = OtherEndpoints(kernel, profile, self.service.now, settings.other_endpoints)
        self._execute = self.others.beside(self.service.execute)
        self.faults = ApiFaultPlan(settings.faults, kernel.draws)
        self.wire = backend.make_wire(keys=settings.keys, poll_after_ms=settings.poll_after_ms, pretty=settings.pretty)
        self.requests = 0
        self._id_prefix = f"{settings.seed}/"
        self.latency = RequestLatency(profile, kernel.draws, enabled=settings.latency)

    def _guarded(self, replier: Replier) -> Replier:
        def reply(turn: Turn) -> Reply:
            try:
                return checked(replier(turn))
            except (Exception, SystemExit) as error:
                self.on_error(error)
                return Failure("server_error", f"The simulator's replier raised {named(error)}")

        return reply

    def set_faults(self, faults: tuple[ApiFault, ...]) -> None:
        """Put other faults in place of the present ones. Counts begin anew, windows count from virtual 0 as ever."""
        self.faults = ApiFaultPlan(faults, self.kernel.draws)

    def change_faults(self, kept: Iterable[int], added: tuple[ApiFault, ...] = ()) -> None:
        """Keep the faults at these positions, which go on counting, and put new ones after them, which begin to."""
        self.faults = self.faults.changed(kept, added)

    def set_replier(self, replier: Replier) -> None:
        """Let assistants answer so from now on. A turn whose answer is known already keeps it."""
        self.service.replier = self._guarded(replier)

    # One request

    def next_request(self) -> tuple[int, str]:
        """The next request's number, from 1, and its id (what `x-request-id` says)."""
        self.requests = number = self.requests + 1
        return number, request_id_header(f"{self._id_prefix}{number}")

    def decide_fault(self, call: Call, number: int, request_id: str) -> ApiFault | None:
        """Record that a request has left its client, and decide which fault hits it, if one does. Once per request."""
        self._record_request(call, request_id)
        if not self.faults.faults:
            return None
        fault = self.faults.decide(call.operation, self.kernel.now, DRAW_KEY, number)
        if fault is not None:
            struck = FaultStruck(
                request_id=request_id, fault=fault.kind, operation=call.operation, thread_id=call.thread_id
            )
            self.trace.add("network", struck)
        return fault

    def _record_request(self, call: Call, request_id: str) -> None:
        if call.thread_id is None:
            call.thread_id = self.service.find_conversation(call)
        sent = RequestSent(
            request_id=request_id,
            context="",
            operation=call.operation,
            thread_id=call.thread_id,
            run_id=call.run_id,
        )
        self.trace.add(call.client, sent)

    def answer(self, call: Call, request_id: str, fault: ApiFault | None = None) -> Answer:
        """What is answered to a request that arrives now, recorded: by the service, or by a fault in its place."""
        if fault is None:
            answer = self._execute(call, request_id)
        else:
            answer = answer_under(
                fault, lambda: self._execute(call, request_id), lambda: lose_conversation(self.service, call)
            )
        error = answer.error
        message = None if error is None else error.message
        served = RequestServed(request_id=request_id, status=answer.status, error_message=message, detail=answer.detail)
        self.trace.add("api", served)
        return answer

    def note_answer(self, call: Call, request_id: str, status: int, failure: effects.Failure | None = None) -> None:
        """An answer sets out to its client, or its client is known to get none: `failure`, with status 0, or the answer's
        own where its body is only damaged. Recorded where a trace is to be judged."""

    def handle(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """Answer one request at the present instant: no latency, no faults.

        Args:
            method: HTTP method, upper case.
            path: path with its query, percent-encoded, from the root (`/v1/threads`).
            headers: request headers; names in any case.
            body: the body's bytes.

        Returns:
            Status, response headers with lower-case names, body. The body of a streamed answer is empty.
        """
        _, request_id = self.next_request()
        call = self.wire.parse(method, path, headers, body)
        self._record_request(call, request_id)
        return self.wire.render(self.answer(call, request_id), call, request_id)


def _ignore(error: BaseException) -> None:
    pass


def _nobody_sends(attempt: Attempt, url: str) -> None:
    attempt.failed("nobody sends")
