"""The server of a world outside: the simulated API with the provider's paths beside it, and a trace that keeps all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from relaysim.sim.backends.calls import Call
from relaysim.sim.backends.profile import Profile
from relaysim.sim.doors.effects import Failure
from relaysim.sim.doors.server import CONTROL_PREFIX
from relaysim.sim.doors.server.app import SimulatedServer
from relaysim.sim.doors.server.delivery import Receive, Rendered, Scope, Send, send_whole
from relaysim.sim.doors.simulation import ApiSettings, RecentTrace, SimulatedApi
from relaysim.sim.kernel import Kernel
from relaysim.sim.kernel.draws import Draws
from relaysim.sim.kernel.trace import Clock, Fields, Trace
from relaysim.sim.outside.provider_door import PROVIDER_PREFIX, ProviderDoor
from relaysim.sim.trace.schema import ResponseReceived


class _WholeTrace(RecentTrace):
    """Hands every event on to the kernel's own trace, in which customers and webhooks are, too."""

    __slots__ = ("_whole",)

    def __init__(self, clock: Clock, whole: Trace) -> None:
        super().__init__(clock, records_max=0)
        self._whole = whole

    def add(self, entity: str, event: Fields) -> None:
        """Record an event now."""
        self._whole.add(entity, event)


class _OwnIds(Draws):
    """Draws whose ids no other world has, also none of the same seed."""

    __slots__ = ("_others",)

    def __init__(self, root: int, replication: int, others: int) -> None:
        super().__init__(root, replication)
        self._others = others

    def token(self, entity: str, purpose: str, length: int, index: int | None = None) -> str:
        """As ever, of other letters."""
        return super().token(f"{entity} after {self._others}", purpose, length, index)


class OutsideApi(SimulatedApi):
    """A simulated API whose trace is the kernel's own, to be judged as a world's.

    Args:
        profile: in place of one that is loaded.
        root_seed: keys what is drawn, with the settings' seed.
        others: how many customers worlds before may have had who are remembered: ids are then of this world alone. 0: none.
        settings, start_seconds, on_event: as of any.

    Attributes:
        is_alive: whether the client of that name has not been killed, whose connections then end without its knowledge.
    """

    def __init__(
        self,
        profile: Profile,
        root_seed: int,
        others: int,
        settings: ApiSettings,
        start_seconds: float,
        on_event: Callable[[float, Any], object],
    ) -> None:
        self._given_profile = profile
        self._root_seed = root_seed
        self._others = others
        self.is_alive: Callable[[str], bool] = lambda client: True
        super().__init__(settings, start_seconds, on_event)

    def _load(self, settings: ApiSettings) -> Profile:
        return self._given_profile

    def _make_kernel(self, seed: int) -> Kernel:
        draws = _OwnIds(self._root_seed, seed, self._others) if self._others else None
        return Kernel(root=self._root_seed, replication=seed, draws=draws)

    def note_answer(self, call: Call, request_id: str, status: int, failure: Failure | None = None) -> None:
        """The program has the answer, or knows that it gets none, as far as can be seen from here."""
        if self.is_alive(call.client):
            self.trace.add(call.client, ResponseReceived(request_id=request_id, status=status, failure=failure))

    def _open_trace(self, kernel: Kernel) -> RecentTrace:
        return _WholeTrace(kernel.env, kernel.trace)


class OutsideServer(SimulatedServer):
    """One port for everything that a program calls but Redis.

    Attributes:
        door: where the provider's paths are; None: there is no provider.
    """

    door: ProviderDoor | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. The control API is not there: who judges is not judged by what a program changes."""
        path = scope["path"] if scope["type"] == "http" else ""
        if self.door is not None and path.startswith(f"{PROVIDER_PREFIX}/"):
            await self.door.serve(scope, receive, send)
        elif path.startswith(CONTROL_PREFIX):
            await send_whole(scope, send, Rendered(404, {"content-length": "0"}, b""))
        else:
            await super().__call__(scope, receive, send)

    def know_clients(self, at: dict[int, str]) -> None:
        """Name clients by the ports at which they reach this server."""
        self._requests.client_at = at

    def client_of(self, scope: Scope) -> str:
        """Who has sent a request."""
        return self._requests.client_at.get(scope["server"][1], "client")
