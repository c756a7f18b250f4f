"""One attempt at an API request: how long it takes, what goes wrong, and what the trace says. Shared by both lanes.

An attempt leaves the worker, arrives after a share of its duration, is processed by the service at that instant, and
its answer arrives after the rest. Processing is a kernel event, so it happens whatever becomes of the worker: a worker
that crashes or gives up does not take back what it sent.

Draws are keyed by (worker, operation, thread) and the attempt's number among those, never by the order of events
elsewhere, so both lanes and any two relays meet the same latencies for the same requests.

The trace gets `request` when the attempt leaves, `served` when the service has processed it, `response` when the
answer, or the failure in its place, reaches the worker, unless it has crashed meanwhile; of an answer whose body is slow
when the body is whole, of a stream when its head arrives (its frames leave no records). An answer that nobody waits for
any more (the waiting task was cancelled) leaves no `response`.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Iterable
from contextlib import suppress

from relaysim.sim.backends.calls import Answer, Call, PendingAnswer
from relaysim.sim.backends.other_endpoints.endpoints import OtherEndpoints
from relaysim.sim.backends.other_endpoints.routes import OtherCall
from relaysim.sim.backends.profile import Profile
from relaysim.sim.backends.protocol import Service
from relaysim.sim.doors.arrivals import Arrivals, BrokenAnswer, StreamedAnswer
from relaysim.sim.doors.effects import CONNECT_ERROR, PIECES, READ_TIMEOUT
from relaysim.sim.doors.faults import ApiFault, ApiFaultPlan, answer_under, lose_conversation
from relaysim.sim.doors.latency import RequestLatency
from relaysim.sim.doors.sent_requests import SentRequests
from relaysim.sim.kernel import Host, Kernel, current_context, maker_of
from relaysim.sim.trace.schema import RequestSent, RequestServed, ResponseReceived

_request_sent = maker_of(RequestSent)
_request_served = maker_of(RequestServed)
_response_received = maker_of(ResponseReceived)


class OpenAttempt(Future[Answer]):
    """The answer to an attempt of which nobody knows how long its client will wait: it gives up when it does.

    Attributes:
        draw_key, draw_index: key the attempt's draws; known once it has left.
        begun: where the answer's body is slow, done with the answer as soon as the body begins; else None.
        slow_seconds: how long that body takes.
        late_seconds: the service processes the request so long after the client has given up; None: in time, or never.
    """

    begun: Future[Answer] | None = None
    slow_seconds = 0.0
    late_seconds: float | None = None

    def leave(self, key: str, index: int, request_id: str, worker: str, call: Call) -> None:
        """The attempt leaves the worker, under these names."""
        self.draw_key, self.draw_index = key, index
        self.request_id, self.worker, self.call = request_id, worker, call

    def meet(self, fault: ApiFault, way_out: float) -> None:
        """A fault hits it."""
        self.late_seconds = fault.late_seconds(way_out) if fault.effect.processed == "late" else None
        if fault.slow_seconds:
            self.slow_seconds = fault.slow_seconds
            self.begun = begun = self.get_loop().create_future()
            self.add_done_callback(lambda ended: _settle(begun, ended))  # of an answer that has no slow body after all


def _settle(future: Future[Answer], ended: Future[Answer]) -> None:
    if not (future.done() or ended.cancelled()):
        future.set_result(ended.result())


class _Stream:
    """The attempts of one worker at one operation on one thread."""

    __slots__ = ("count", "key")

    def __init__(self, key: str) -> None:
        self.key = key
        self.count = 0


class Network:
    """The way between the workers and the service.

    Args:
        kernel: the world.
        service: processes the requests.
        profile: latencies.
        faults: in order of precedence.
        others: the endpoints beside the service's API; None: those of nobody else, without a script.

    Attributes:
        service, others: as given, or as made.
        faults: the plan, with `fired`, how often each fault hit.
        unknown: the requests for which the API has no route: method, path with its query, and the line that sent it.
        sent: takes down what requests carry; None: nobody asks for it.
        asked_seconds: by the id of a request that was answered with `Retry-After`: how many seconds it asked for.
    """

    def __init__(
        self,
        kernel: Kernel,
        service: Service,
        profile: Profile,
        faults: Iterable[ApiFault] = (),
        others: OtherEndpoints | None = None,
    ) -> None:
        self.kernel = kernel
        self.service = service
        if others is None:
            others = OtherEndpoints(kernel, profile, service.now)
        self.others = others
        self._execute = others.beside(service.execute)
        self.faults = ApiFaultPlan(tuple(faults), kernel.draws)
        self._has_faults = bool(self.faults.faults)
        self.unknown: list[tuple[str, str, str]] = []
        self.sent: SentRequests | None = None
        self.asked_seconds: dict[str, float] = {}
        self._trace = kernel.trace.add
        self._at = kernel.at
        self._latency = RequestLatency(profile, kernel.draws)
        self._streams: dict[tuple[str, str, str | None], _Stream] = {}
        self._attempts: dict[str, int] = {}

    def attempt(
        self,
        host: Host,
        call: Call,
        read_timeout: float | None,
        connect_timeout: float | None,
        opened: OpenAttempt | None = None,
    ) -> Future[Answer]:
        """Send one attempt now.

        Args:
            host: the worker that sends it; the future belongs to its loop.
            call: what is asked.
            read_timeout: seconds until the client gives up on an answer; None: never.
            connect_timeout: seconds until the client gives up on a connection; None: never.
            opened: the future to use, where both are None because nobody knows them; then see `give_up`.

        Returns:
            A future of the answer. A failure on the way is an answer of status 0 too, with `failure` set; the future
            itself never raises.
        """
        kernel = self.kernel
        worker, operation, thread_id = host.name, call.operation, call.thread_id
        if thread_id is None:
            thread_id = call.thread_id = self.service.find_conversation(call)
        number = self._attempts.get(worker, 0) + 1
        self._attempts[worker] = number
        request_id = f"{worker}#{number}"
        place = (worker, operation, thread_id)
        stream = self._streams.get(place)
        if stream is None:
            stream = self._streams[place] = _Stream(f"{worker}/{operation}/{thread_id or ''}")
        key, index = stream.key, stream.count
        stream.count = index + 1
        sent = _request_sent(
            request_id=request_id,
            context=current_context.get(),
            operation=operation,
            thread_id=thread_id,
            run_id=call.run_id,
        )
        self._trace(worker, sent)

        duration = self._latency.seconds(key, index)
        way_out = self._latency.way_out(duration)
        if type(call) is OtherCall and self._latency.enabled:
            duration += self.others.take_time(call, key, index)
        fault = self.faults.decide(operation, kernel.env.now, key, index) if self._has_faults else None

        future: Future[Answer]
        if opened is None:
            future = host.loop.create_future()
        else:
            future = opened
            opened.leave(key, index, request_id, worker, call)
            if fault is not None:
                opened.meet(fault, way_out)
        effect = None if fault is None else fault.effect
        if effect is None or effect.answered:
            way_back = duration - way_out
            if read_timeout is not None and duration > read_timeout:
                self._at(read_timeout, self._fail, READ_TIMEOUT, request_id, worker, key, index, future)
                way_back = -1.0
            self._at(
                way_out,
                self._serve,
                call,
                request_id,
                worker,
                key,
                index,
                way_back,
                future,
                fault,
                read_timeout,
                way_out,
            )
        elif not effect.connects:
            wait = way_out if connect_timeout is None else min(way_out, connect_timeout)
            self._at(wait, self._fail, CONNECT_ERROR, request_id, worker, key, index, future)
        else:
            if effect.processed == "in_time":
                self._at(way_out, self._serve, call, request_id, worker, key, index, -1.0, future, None, None)
            if read_timeout is not None:
                self._at(read_timeout, self._fail, READ_TIMEOUT, request_id, worker, key, index, future)
                if effect.processed == "late" and fault is not None:
                    late = read_timeout + fault.late_seconds(way_out)
                    self._at(late, self._serve, call, request_id, worker, key, index, -1.0, future, None, None)
        return future

    def give_up(self, opened: OpenAttempt, *, cancelled: bool) -> None:
        """The client of this attempt has waited for as long as it would.

        Args:
            opened: as given to `attempt`.
            cancelled: nobody waits for the answer any more; else the client has timed out.
        """
        if opened.done():
            return
        call, request_id, worker = opened.call, opened.request_id, opened.worker
        key, index, late = opened.draw_key, opened.draw_index, opened.late_seconds
        if cancelled:
            opened.cancel()
        else:
            self._fail(READ_TIMEOUT, request_id, worker, key, index, opened)
        if late is not None:
            self._at(late, self._serve, call, request_id, worker, key, index, -1.0, opened, None, None)

    def _serve(
        self,
        call: Call,
        request_id: str,
        worker: str,
        key: str,
        index: int,
        way_back: float,
        future: Future[Answer],
        fault: ApiFault | None,
        read_timeout: float | None,
        way_out: float = 0.0,
    ) -> None:
        """The request arrives at the service. A negative way back: no answer will reach the worker."""
        if fault is None:
            answer = self._execute(call, request_id)
        else:
            answer = answer_under(
                fault, lambda: self._execute(call, request_id), lambda: lose_conversation(self.service, call)
            )
        answer.request_id = request_id
        answer.draw_key = key
        answer.draw_index = index
        if "retry-after" in answer.headers:
            with suppress(ValueError):  # a date, or nothing that can be read
                self.asked_seconds[request_id] = float(answer.headers["retry-after"])
        error_message = None if answer.error is None else answer.error.message
        served = _request_served(
            request_id=request_id, status=answer.status, error_message=error_message, detail=answer.detail
        )
        self._trace("api", served)
        pending = answer.pending
        if pending is not None:
            self._watch_client(pending, future)
            if not pending.given:
                if way_back >= 0.0:
                    if read_timeout is not None:
                        left = max(0.0, read_timeout - way_out)
                        self._at(left, self._fail, READ_TIMEOUT, request_id, worker, key, index, future)
                    pending.then(lambda: self._set_out(answer, worker, future, way_back, fault, None))
                return
        self._set_out(answer, worker, future, way_back, fault, read_timeout)

    def _watch_client(self, pending: PendingAnswer, future: Future[Answer]) -> None:
        """Let the service know if the client goes before the answer is given: it gave up, or nobody awaits it any more.

        A worker that has crashed closes no connection.
        """
        loop = future.get_loop()
        if loop.is_closed() or getattr(loop, "crashed", False):
            return

        def ended(ended: Future[Answer]) -> None:
            if ended.cancelled() or ended.result().failure == READ_TIMEOUT:
                self._at(0.0, pending.abandon)

        future.add_done_callback(ended)

    def _set_out(
        self,
        answer: Answer,
        worker: str,
        future: Future[Answer],
        way_back: float,
        fault: ApiFault | None,
        read_timeout: float | None,
    ) -> None:
        """An answer leaves the service."""
        if answer.stream is not None:
            if way_back < 0.0:
                answer.stream.detach()
                return
            answer = self._stream(answer, way_back, fault)
        elif fault is not None and way_back >= 0.0 and fault.after_events is None:
            effect, slow_seconds = fault.effect, fault.slow_seconds
            if effect.damages:
                answer = _named_as(answer, BrokenAnswer(answer, effect))
            elif read_timeout is not None and slow_seconds / PIECES > read_timeout:
                self._at(
                    way_back + read_timeout,
                    self._fail,
                    READ_TIMEOUT,
                    answer.request_id,
                    worker,
                    answer.draw_key,
                    answer.draw_index,
                    future,
                )
                return
            else:
                if type(future) is OpenAttempt and future.begun is not None:
                    self._at(way_back, _begin, future.begun, answer)
                way_back += slow_seconds
        if way_back >= 0.0:
            self._at(way_back, self._respond, answer, worker, future)

    def _stream(self, answer: Answer, way_back: float, fault: ApiFault | None) -> Answer:
        """A streamed answer sets out, head and first frames together."""
        assert answer.stream is not None
        effect, slow_seconds = (None, 0.0) if fault is None else (fault.effect, fault.slow_seconds)
        if fault is not None and fault.after_events is not None:
            answer.stream.break_after(fault.after_events)
        arrivals = Arrivals(self.kernel, answer.stream, way_back, effect, slow_seconds)
        return _named_as(answer, StreamedAnswer(answer, arrivals, None if effect is None else effect.failure))

    def _respond(self, answer: Answer, worker: str, future: Future[Answer]) -> None:
        loop = future.get_loop()
        if future.done() or loop.is_closed() or getattr(loop, "crashed", False):
            if answer.stream is not None:
                answer.stream.detach()
            return
        received = _response_received(request_id=answer.request_id, status=answer.status, failure=answer.failure)
        self._trace(worker, received)
        future.set_result(answer)

    def note_unread(self, worker: str, future: Future[Answer]) -> None:
        """Whoever waited for this answer gave up at the very instant at which it came, and never saw it."""
        if future.done() and not future.cancelled() and future.result().failure is None:
            answer = future.result()
            self._trace(worker, _response_received(request_id=answer.request_id, status=0, failure=READ_TIMEOUT))

    def _fail(self, failure: str, request_id: str, worker: str, key: str, index: int, future: Future[Answer]) -> None:
        answer = Answer(0, failure=failure)
        answer.request_id = request_id
        answer.draw_key = key
        answer.draw_index = index
        self._respond(answer, worker, future)


def _begin(begun: Future[Answer], answer: Answer) -> None:
    """The head of an answer whose body is slow reaches the worker."""
    loop = begun.get_loop()
    if not (begun.done() or loop.is_closed() or getattr(loop, "crashed", False)):
        begun.set_result(answer)


def _named_as(original: Answer, answer: Answer) -> Answer:
    """The second one, under the first one's names."""
    answer.request_id = original.request_id
    answer.draw_key = original.draw_key
    answer.draw_index = original.draw_index
    return answer
