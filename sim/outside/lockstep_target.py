"""One life of a program in virtual time: what it writes reaches the simulated services at the instant at which it is idle,
and what they answer is one step of it each."""

from __future__ import annotations

import asyncio
import signal
from asyncio import Future
from collections.abc import Callable, Mapping
from contextvars import copy_context
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import h11

from relaysim.sim.kernel import Host, current_context
from relaysim.sim.kernel.agenda import HostTimer
from relaysim.sim.kernel.fence import outside
from relaysim.sim.outside.stepped_program import Happened, Report, SteppedProgram
from relaysim.sim.providers import HttpRequest, HttpResponse
from relaysim.sim.sockets import Connection, StreamService
from relaysim.sim.world.applications import Application
from relaysim.sim.world.judge.promises import Promises
from relaysim.sim.world.target import Life, NobodyListens

_ADDRESS: Final = "127.0.0.1"


class _Opened:
    """A connection that the program has opened, and the service's end of it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.is_open = False
        self.kept: list[Happened] = []  # what came before the service had taken it
        self.is_told = False
        self.is_finished = False


class _Request:
    """A request to the program, over a connection of its own."""

    def __init__(self, method: str, answered: Future[HttpResponse]) -> None:
        self.answered = answered
        self._http = h11.Connection(h11.CLIENT)
        self._method = method
        self._head: h11.Response | None = None
        self._body = bytearray()

    def written(self, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
        """The request, as it is sent."""
        fields = {name: value for name, value in headers.items() if name not in ("connection", "content-length")}
        if body or self._method not in ("GET", "HEAD"):
            fields["content-length"] = str(len(body))
        asked = h11.Request(method=self._method, target=target, headers=[*fields.items(), ("connection", "close")])
        data = self._http.send(asked) or b""
        if body:
            data += self._http.send(h11.Data(data=body)) or b""
        return data + (self._http.send(h11.EndOfMessage()) or b"")

    def feed(self, data: bytes) -> None:
        """The program has written; nothing: its last."""
        if self.answered.done():
            return
        try:
            self._http.receive_data(data)
            while True:
                event = self._http.next_event()
                if isinstance(event, h11.Response):
                    self._head = event
                elif isinstance(event, h11.Data):
                    self._body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    assert self._head is not None
                    fields = {name.decode("latin-1"): value.decode("latin-1") for name, value in self._head.headers}
                    self.answered.set_result(HttpResponse(self._head.status_code, fields, bytes(self._body)))
                    return
                elif event is h11.NEED_DATA or isinstance(event, h11.ConnectionClosed):
                    break
        except h11.RemoteProtocolError as error:
            self.answered.set_exception(ConnectionError(str(error)))
            return
        if not data:
            self.answered.set_exception(ConnectionError("the connection was closed without an answer"))


class LockstepTarget(Application):
    """A program that runs when the simulator lets it. What it promises its configuration declares.

    Args:
        life: where.
        promises: what it promises.
        address: of its webhooks.
        stepped: the copy.
        services: who stands at which of its ports.
        is_away: whether who stands there takes no connections at this instant.

    Attributes:
        address: as given.
        listens: the ports on which it listens.
        ended: it has ended by itself.
    """

    factory_returns: ClassVar[str] = "a program on the simulator's clock"

    def __init__(
        self,
        life: Life,
        promises: Promises,
        address: str,
        stepped: SteppedProgram,
        services: Mapping[int, StreamService],
        is_away: Callable[[int], bool],
    ) -> None:
        assert life.provider is not None
        self.address = address
        self.listens: frozenset[int] = frozenset()
        self.ended = False
        self._life = life
        self._service = life.provider
        self._promises = promises
        self._stepped = stepped
        self._services = services
        self._is_away = is_away
        self._host: Host = life.host
        self._kernel = life.host.kernel
        self._opened: dict[str, _Opened] = {}
        self._requests: dict[str, _Request] = {}
        self._timer: HostTimer | None = None
        self._ports = 40_000
        self._context = copy_context()
        self._context.run(current_context.set, "")

    @classmethod
    def drives(cls, made: Any) -> bool:
        """Nothing that a factory returns."""
        return False

    @property
    def promises(self) -> Promises:
        """As declared."""
        return self._promises

    # What the program does

    def begin(self) -> None:
        """Let the program, which has been launched at this instant, come to rest.

        Raises:
            LockstepError: it cannot be kept on the clock.
        """
        with outside():
            report = self._stepped.until_begun()
        self._host.call(lambda: self._context.run(self._apply, report))

    def _soon(self, action: Callable[..., Report | None], *args: Any) -> None:
        """Let something happen to the program, at this instant, as a step of its own."""
        self._host.loop.call_soon(self._do, action, *args, context=self._context)

    def _do(self, action: Callable[..., Report | None], *args: Any) -> None:
        try:
            with outside():
                for port in self._services:
                    self._stepped.let_connect(port, lets=not self._is_away(port))
                report = action(*args)
        except Exception as error:
            self._kernel.fail(error)
            return
        if report is not None:
            self._apply(report)

    def _apply(self, report: Report) -> None:
        self.listens = report.listens
        for each in report.happened:
            if each.connection.startswith("i"):
                self._answer(each)
            else:
                self._pass_on_bytes(each)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if report.ended:
            self.ended = True
        elif report.due is not None:
            delay = max(report.due - self._kernel.now, 0.0)
            self._timer = self._host.loop.call_later(delay, self._do, self._fire, context=self._context)

    def _fire(self) -> Report:
        return self._stepped.step(self._kernel.now, timers=True)

    def _answer(self, each: Happened) -> None:
        request = self._requests.get(each.connection)
        if request is None:
            return
        if each.kind == "write":
            request.feed(each.data)
        elif each.kind in ("end", "close"):
            request.feed(b"")

    # What it opens

    def _pass_on_bytes(self, each: Happened) -> None:
        name = each.connection
        if each.kind == "open":
            self._ports += 1
            local, remote = (_ADDRESS, self._ports), (_ADDRESS, each.port)
            opened = self._opened[name] = _Opened(Connection(self._host, _ADDRESS, local, remote))
            opened.connection.listeners.append(lambda: self._tell(name, opened))
            self._host.spawn(self._open(name, opened, self._services[each.port]), context=self._context.copy())
            return
        opened = self._opened.get(name)  # type: ignore[assignment]
        if opened is None:
            return
        if not opened.is_open:
            opened.kept.append(each)
            return
        self._pass_on_to(name, opened, each)

    async def _open(self, name: str, opened: _Opened, service: StreamService) -> None:
        try:
            session = await service.connect(opened.connection)
        except OSError:
            del self._opened[name]
            self._soon(self._drop, name, True)
            return
        opened.connection.open(session)
        opened.is_open = True
        for each in opened.kept:
            self._pass_on_to(name, opened, each)

    def _pass_on_to(self, name: str, opened: _Opened, each: Happened) -> None:
        connection = opened.connection
        if each.kind == "write":
            try:
                connection.send(each.data)
            except OSError:  # which the program will learn
                return
        elif each.kind == "end":
            connection.shut_down()
        else:
            connection.close()
            self._opened.pop(name, None)

    def _tell(self, name: str, opened: _Opened) -> None:
        """The service has something for the program."""
        if not opened.is_told:
            opened.is_told = True
            self._soon(self._hand_over, name, opened)

    def _hand_over(self, name: str, opened: _Opened) -> Report | None:
        opened.is_told = False
        connection = opened.connection
        if connection.closed or opened.is_finished or not connection.readable:
            return None
        while connection.readable:
            try:
                data = connection.receive()
            except OSError:
                opened.is_finished = True
                return self._drop(name, True)
            if not data:
                opened.is_finished = True
                self._stepped.finish(name)
                break
            self._stepped.write(name, data)
        return self._stepped.step(self._kernel.now)

    def _drop(self, name: str, reset: bool) -> Report:
        self._stepped.drop(name, reset=reset)
        return self._stepped.step(self._kernel.now)

    # What is asked of it

    async def respond(self, request: HttpRequest, patience_seconds: float) -> HttpResponse:
        """The program's response.

        Raises:
            ConnectionError: there was none.
            TimeoutError: none in time.
        """
        answered: Future[HttpResponse] = asyncio.get_running_loop().create_future()
        self._soon(self._ask, request, answered)
        timer = self._host.loop.call_later(patience_seconds, _give_up, answered, patience_seconds)
        try:
            return await answered
        finally:
            timer.cancel()
            name = next((name for name, each in self._requests.items() if each.answered is answered), None)
            if name is not None:
                del self._requests[name]
                self._soon(self._hang_up, name)

    def _ask(self, request: HttpRequest, answered: Future[HttpResponse]) -> Report | None:
        if answered.done():
            return None
        place = urlsplit(self.address)
        port = place.port or 80
        if port not in self.listens:
            answered.set_exception(NobodyListens(f"{request.method} {self.address}: nobody listens"))
            return None
        name = self._stepped.connect(port)
        asked = self._requests[name] = _Request(request.method, answered)
        parts = urlsplit(request.url)
        target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        headers = {name: value for name, value in request.headers.items() if name != "host"}
        self._stepped.write(name, asked.written(target, {"host": place.netloc, **headers}, request.body))
        return self._stepped.step(self._kernel.now)

    def _hang_up(self, name: str) -> Report:
        self._stepped.drop(name, reset=False)
        return self._stepped.step(self._kernel.now)

    def tell_to_end(self) -> None:
        """SIGTERM, at this instant."""
        self._soon(self._terminate)

    def _terminate(self) -> Report:
        return self._stepped.step(self._kernel.now, told=signal.SIGTERM)


def _give_up(answered: Future[HttpResponse], seconds: float) -> None:
    if not answered.done():
        answered.set_exception(TimeoutError(f"no answer within {seconds:g} s"))
