"""The simulated API on a socket, in a test's hands: what the fixture `openai_server` is made of.

    with ServedApi(speed=20.0) as served:
        subprocess.run(["node", "bot.js"], env={**os.environ, **served.environment()})

Programs in any language, threads and processes are its clients. Virtual time follows real time at some speed, so what
happens between clients depends on the machine; ids, durations of runs and replies do not.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import openai

from relaysim.sim.counted import counted
from relaysim.sim.doors.api_handle import ApiHandle
from relaysim.sim.doors.faults import ApiFault
from relaysim.sim.doors.given_replies import GivenReplies
from relaysim.sim.doors.server.app import SimulatedServer
from relaysim.sim.doors.server.background import BackgroundServer
from relaysim.sim.doors.server.control_faults import add_fault
from relaysim.sim.doors.simulation import ApiSettings, SimulatedApi
from relaysim.sim.doors.transport import API_KEY

T = TypeVar("T")

SPEED: Final = 20.0
"""Virtual seconds per real second, unless a test says otherwise."""

_POLL_MS: Final = 1000
"""How long the SDK's poll helpers wait by themselves."""


class ServedApi(ApiHandle):
    """A running server, its clients and its clock, for the length of a `with` block.

    Args:
        settings: what the API is like; by default the profile `typical` without latency, echoed replies, and any
            assistant's id is known. Without `poll_after_ms`, answers ask the SDK's poll helpers to wait for one virtual
            second instead of one real second.
        speed: virtual seconds per real second; 0: time only moves by `advance`.
        replies: what assistants answer, if the settings cannot hold it, as of `reply_with`; again after each `reset`.

    Raises:
        FileNotFoundError, tomllib.TOMLDecodeError, pydantic.ValidationError: bad settings, as of `SimulatedApi`.
        ValueError: a speed below 0.
        RuntimeError: on leaving, if the simulator itself failed, such as a replier that raised.
    """

    def __init__(
        self, settings: ApiSettings | None = None, *, speed: float = SPEED, replies: GivenReplies | None = None
    ) -> None:
        super().__init__()
        settings = ApiSettings(assistants="any", latency=False) if settings is None else settings
        if settings.poll_after_ms is None and speed > 1.0:
            settings = settings.model_copy(update={"poll_after_ms": max(1, round(_POLL_MS / speed))})
        self._settings = settings
        self._given_replies = replies
        self._server = BackgroundServer(settings, speed=speed)
        self._server_thread: int | None = None
        self._clients: list[openai.OpenAI] = []

    def __enter__(self) -> Self:
        self._server.__enter__()
        self._server_thread = self._server.call(lambda _: get_ident())
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for client in self._clients:
            client.close()
        self._server.__exit__(kind, error, traceback)
        errors = self._server.server.errors
        if errors and kind is None:
            raised = counted(errors, "error")
            raise RuntimeError(f"the simulator or a test's replier raised {raised}; standard error has what and where")

    # Where it is

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as `base_url`."""
        return self._server.base_url

    @property
    def control_url(self) -> str:
        """Where the control API is, for programs that change faults, the clock or replies by HTTP."""
        return self._server.control_url

    @property
    def api_key(self) -> str:
        """A key that is let in."""
        keys = self._settings.keys
        return keys[0] if keys else API_KEY

    def environment(self) -> dict[str, str]:
        """The variables by which OpenAI's SDKs find this server, for `monkeypatch.setenv` or a subprocess."""
        return {"OPENAI_BASE_URL": self.base_url, "OPENAI_API_KEY": self.api_key}

    def client(self, **options: Any) -> openai.OpenAI:
        """A new `openai.OpenAI` for this server, closed with it; `options` as of `openai.OpenAI`."""
        given = {"api_key": self.api_key, "base_url": self.base_url, **options}
        if "http_client" not in given:  # no proxy of the machine stands between
            given["http_client"] = openai.DefaultHttpxClient(trust_env=False, verify=False)
        self._clients.append(openai.OpenAI(**given))
        return self._clients[-1]

    def async_client(self, **options: Any) -> openai.AsyncOpenAI:
        """A new `openai.AsyncOpenAI` for this server; close it where it was used (`async with`)."""
        given = {"api_key": self.api_key, "base_url": self.base_url, **options}
        if "http_client" not in given:
            given["http_client"] = openai.DefaultAsyncHttpxClient(trust_env=False, verify=False)
        return openai.AsyncOpenAI(**given)

    # Time

    def advance(self, seconds: float) -> float:
        """Let that many virtual seconds pass at once; returns the virtual instant then.

        Raises:
            ValueError: for a negative, infinite or undefined duration.
        """
        return self._call(SimulatedServer.advance, seconds)

    def set_speed(self, speed: float) -> None:
        """Change how many virtual seconds pass per real second from now on.

        Raises:
            ValueError: unless it is 0 or more, and finite.
        """
        self._call(SimulatedServer.set_speed, speed)

    def reset(self) -> None:
        """Begin a fresh world with the settings of the beginning; what clients wait for ends, unanswered."""
        self._call(SimulatedServer.reset)
        self._begin()

    # Inside

    def _begin(self) -> None:
        self._on_new_world()
        if self._given_replies is not None:
            self.reply_with(self._given_replies)

    def _call(self, function: Callable[..., T], *arguments: Any) -> T:
        if get_ident() == self._server_thread:
            raise RuntimeError(
                "a replier runs inside the server, which waits for it: it can only use the turn it is given"
            )
        return self._server.call(function, *arguments)

    def _apply(self, action: Callable[[SimulatedApi], T]) -> T:
        return self._call(lambda server: action(server.api))

    def _add_fault(self, fault: ApiFault) -> None:
        self._call(add_fault, fault)

    def _clear_faults(self) -> None:
        self._call(SimulatedServer.set_faults, ())
