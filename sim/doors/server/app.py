"""The simulated API as an ASGI 3 application: its clock, its faults, its health, and where each request goes."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from relaysim.sim.doors.faults import ApiFault
from relaysim.sim.doors.server import CONTROL_PREFIX, HEALTH_PATH, METRICS_PATH
from relaysim.sim.doors.server.delivery import Message, Receive, Rendered, Scope, Send, Wire, send_whole
from relaysim.sim.doors.server.outages import ConnectionGate, Outages
from relaysim.sim.doors.server.pacer import Pacer
from relaysim.sim.doors.server.requests import ApiRequests, own_error
from relaysim.sim.doors.server.served_metrics import ServedMetrics, exposition
from relaysim.sim.doors.simulation import ApiSettings, SimulatedApi
from relaysim.sim.kernel import EPOCH_SECONDS

if TYPE_CHECKING:
    from relaysim.sim.backends.webhook_events import Attempt
    from relaysim.sim.doors.server.event_sender import EventSender

AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_CONTROL_MODULE: Final = "relaysim.sim.doors.server.control"
_METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_SENDER_MODULE: Final = "relaysim.sim.doors.server.event_sender"


class SimulatedServer:
    """The simulated API as an ASGI 3 application. All of it is called from the thread of the loop that serves it.

    Args:
        settings: what the API is like.
        speed: virtual seconds per real second; 0: time only moves by `advance`, and requests take no time.
        start_seconds: what Unix time it is at virtual 0; by default now, or `relaysim.sim.kernel.EPOCH_SECONDS` at speed 0.
        request_log: takes a line of JSON for each request, without its newline; by default nobody does.
        make_api: makes the API, of settings, start and what hears of events.

    Attributes:
        api: the API; `reset` replaces what is in it.
        metrics: what it has answered, over all resets.
        pacer: moves the API's kernel.
        errors: how many of the simulator's own errors were met, each also written to standard error.

    Raises:
        FileNotFoundError, tomllib.TOMLDecodeError, pydantic.ValidationError: bad settings, as of `SimulatedApi`.
        ValueError: a speed below 0.
    """

    def __init__(
        self,
        settings: ApiSettings,
        speed: float = 1.0,
        start_seconds: float | None = None,
        request_log: Callable[[str], object] | None = None,
        make_api: Callable[[ApiSettings, float, Callable[[float, Any], object]], SimulatedApi] = SimulatedApi,
    ) -> None:
        self._given_start = start_seconds
        self._earlier_requests = self._earlier_fired = 0
        self.errors = 0
        self.metrics = ServedMetrics(lambda: self.api.start_seconds, request_log)
        self.api = make_api(settings, self._start_seconds(speed), self.metrics.note)
        self.api.on_error = self.note_error
        self._sender: EventSender | None = None
        self.api.post = self._post_event
        self.pacer = Pacer(self.api.kernel, speed, self.note_error)
        self._outages: Outages | None = None
        self._requests = ApiRequests(self.api, self.pacer, self.note_error)
        self._control: AsgiApp | None = None

    # From the outside

    @contextmanager
    def present(self) -> Iterator[SimulatedApi]:
        """The API at the present instant, for reading and for changing: `with server.present() as api: ...`.

        Nothing may be awaited inside.
        """
        self.pacer.catch_up()
        try:
            yield self.api
        finally:
            self.pacer.arm()

    def reset(self, settings: ApiSettings | None = None) -> None:
        """Begin a fresh world; requests, streams and silences of the old one end, unanswered.

        Without a `start_seconds` of its own, virtual 0 is now (at speed 0: `EPOCH_SECONDS`) once more.

        Raises:
            FileNotFoundError, tomllib.TOMLDecodeError, pydantic.ValidationError: bad settings; then nothing changes.
        """
        requests, fired = self.api.requests, sum(self.api.faults.fired)
        self.api.reset(settings, self._start_seconds(self.pacer.speed))
        self._earlier_requests += requests
        self._earlier_fired += fired
        self._requests.end_exchanges()
        self.pacer.attach(self.api.kernel)
        self._plan_outages()

    def set_faults(self, faults: tuple[ApiFault, ...]) -> None:
        """Put other faults in place of the present ones. Their windows count from virtual 0, as ever."""
        self.pacer.catch_up()
        self._earlier_fired += sum(self.api.faults.fired)
        self.api.set_faults(faults)
        self._plan_outages()

    def change_faults(self, kept: Iterable[int], added: tuple[ApiFault, ...] = ()) -> None:
        """Keep the faults at these positions, which go on counting, and put new ones after them, which begin to."""
        self.pacer.catch_up()
        before = sum(self.api.faults.fired)
        self.api.change_faults(kept, added)
        self._earlier_fired += before - sum(self.api.faults.fired)
        self._plan_outages()

    def set_speed(self, speed: float) -> None:
        """Change the speed from now on.

        Raises:
            ValueError: unless it is 0 or more, and finite.
        """
        self.pacer.set_speed(speed)
        self._plan_outages()

    def advance(self, seconds: float) -> float:
        """Let virtual seconds pass at once, at any speed; returns the virtual instant then.

        Raises:
            ValueError: for a negative, infinite or undefined duration.
        """
        return self.pacer.advance(seconds)

    @property
    def requests(self) -> int:
        """How many requests have come for the simulated API, over all resets."""
        return self._earlier_requests + self.api.requests

    @property
    def faults_fired(self) -> int:
        """How often a fault has fired, over all resets and plans."""
        return self._earlier_fired + sum(self.api.faults.fired)

    def note_error(self, error: BaseException) -> None:
        """Count an error of the simulator's own and write it to standard error."""
        self.errors += 1
        print("relaysim: an error of the simulator itself:", file=sys.stderr)
        traceback.print_exception(error, file=sys.stderr)

    def start(self, gate: ConnectionGate | None = None) -> None:
        """Let virtual time begin, on the running loop. `gate`: what refuses connections in outages."""
        self.pacer.start(asyncio.get_running_loop())
        self._outages = None if gate is None else Outages(gate)
        self._plan_outages()

    def end_waiting(self) -> None:
        """The server is about to stop: end what could wait for ever, streams and silences."""
        self._requests.stopping = True
        self._requests.end_exchanges()

    def stop(self) -> None:
        """Let time stand still; requests still on their way end, unanswered."""
        self.end_waiting()
        if self._sender is not None:
            self._sender.stop()
        self.pacer.stop()

    def _post_event(self, attempt: Attempt, url: str) -> None:
        if self._sender is None:
            # Imported where it is needed: few servers send anything.
            module = importlib.import_module(_SENDER_MODULE)
            self._sender = module.EventSender(self.present)
        assert self._sender is not None
        self._sender.post(attempt, url)

    def _start_seconds(self, speed: float) -> float:
        if self._given_start is not None:
            return self._given_start
        return time.time() if speed > 0 else float(EPOCH_SECONDS)

    def _plan_outages(self) -> None:
        if self._outages is not None:
            self._outages.plan(self.api, moving=self.pacer.speed > 0)
            self.pacer.arm()

    # ASGI

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan."""
        if scope["type"] != "http":
            await self._not_http(scope, receive, send)
            return
        path: str = scope["path"]
        if path == HEALTH_PATH:
            await send_whole(scope, send, _json_answer(200, self._health()))
        elif path == METRICS_PATH:
            now = self.pacer.catch_up()
            self.pacer.arm()
            body = exposition(self.metrics, errors=self.errors, now=now, speed=self.pacer.speed)
            headers = {"content-type": _METRICS_TYPE, "content-length": str(len(body))}
            await send_whole(scope, send, Rendered(200, headers, body))
        elif path.startswith(CONTROL_PREFIX) and path[len(CONTROL_PREFIX) : len(CONTROL_PREFIX) + 1] in ("", "/"):
            await self._serve_control(scope, receive, send)
        else:
            await self._requests.serve(scope, receive, send)

    def answer_now(self, scope: Scope, body: bytes, wire: Wire) -> bool:
        """Answer a request whose body is there, if that takes no waiting, see `ApiRequests.answer_now`."""
        return self._requests.answer_now(scope, body, wire)

    # What is no request to the simulated API

    def _health(self) -> dict[str, Any]:
        now = self.pacer.catch_up()
        self.pacer.arm()
        return {
            "status": "stopping" if self._requests.stopping else "ok",
            "virtual_seconds": now,
            "speed": self.pacer.speed,
            "requests": self.requests,
            "errors": self.errors,
        }

    async def _serve_control(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            if self._control is None:
                self._control = importlib.import_module(_CONTROL_MODULE).make_control_app(self)
            await self._control(scope, receive, watched)
        except Exception as error:
            self.note_error(error)
            if not started:
                await send_whole(scope, send, own_error(error))

    async def _not_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            raise RuntimeError(f"the simulated API has no {scope['type']}")
        await receive()
        self.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.stop()
        await send({"type": "lifespan.shutdown.complete"})


def _json_answer(status: int, data: Any) -> Rendered:
    body = json.dumps(data).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body))}
    return Rendered(status, headers, body)
