"""A simulated server in this thread, without a socket, for tests of its control API. Its clock stands still unless said."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, TypeVar

import httpx2

from relaysim.sim.doors.server.app import SimulatedServer
from relaysim.sim.doors.simulation import ApiSettings

T = TypeVar("T")

ASSISTANT = "asst_" + "a" * 24
API_HEADERS = {"authorization": "Bearer sk-any", "openai-beta": "assistants=v2"}


def constant(seconds: float) -> dict[str, Any]:
    """A distribution of one value."""
    return {"kind": "constant", "value": seconds}


FLAT: dict[str, Any] = {
    "queue_seconds": constant(1),
    "run_seconds": constant(10),
    "cancel_seconds": constant(3),
    "stuck_cancel_seconds": constant(50),
    "stuck_probability": 0.0,
    "request_seconds": constant(0.5),
    "slow_probability": 0.0,
}
"""Overrides of a profile: a run is queued for 1 s and runs for 10 s, a cancel takes 3 s, that of a stuck run 50 s."""


class Bench:
    """The server, and ways to ask it. A context manager."""

    def __init__(self, speed: float = 0.0, **settings: Any) -> None:
        settings = {"assistants": (ASSISTANT,), "overrides": FLAT, **settings}
        self.server = SimulatedServer(ApiSettings(**settings), speed)
        self.loop = asyncio.new_event_loop()

    def __enter__(self) -> Bench:
        self.run(self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.stop()
        self.run(self._client.aclose())
        self.loop.close()

    async def _start(self) -> None:
        self.server.start()
        self._client = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(self.server, raise_app_exceptions=True), base_url="http://simulated"
        )

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Let the server's loop run it."""
        return self.loop.run_until_complete(coroutine)

    async def ask(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """A request to any path."""
        return await self._client.request(method, path, **options)

    def control(self, method: str, path: str, json: Any = None, **options: Any) -> httpx2.Response:
        """A control request; `path` is without the prefix."""
        if json is not None:
            options["json"] = json
        return self.run(self.ask(method, f"/_relaysim{path}", **options))

    def done(self, method: str, path: str, json: Any = None, **options: Any) -> Any:
        """What a control request that succeeds answers."""
        response = self.control(method, path, json, **options)
        assert response.is_success, response.text
        return response.json()

    def refused(self, method: str, path: str, json: Any = None, **options: Any) -> tuple[int, str, str]:
        """Status, code and message of a control request that does not."""
        response = self.control(method, path, json, **options)
        error = response.json()["error"]
        assert list(error) == ["code", "message", "problems", "possible"]
        return response.status_code, error["code"], error["message"]

    def api(self, method: str, path: str, json: Any = None) -> httpx2.Response:
        """A request to the simulated API; `path` is without the prefix."""
        return self.run(self.ask(method, f"/v1{path}", headers=API_HEADERS, json=json))

    def advance(self, seconds: float) -> float:
        """Let virtual time pass, by the control API."""
        now: float = self.done("POST", "/clock/advance", {"seconds": seconds})["virtual_seconds"]
        return now

    def thread(self, text: str = "Hello") -> str:
        """A new thread's id."""
        thread = self.api("POST", "/threads", {"messages": [{"role": "user", "content": text}]})
        return str(thread.json()["id"])

    def started(self, thread_id: str | None = None, **options: Any) -> str:
        """A new run's id."""
        thread_id = self.thread() if thread_id is None else thread_id
        run = self.api("POST", f"/threads/{thread_id}/runs", {"assistant_id": ASSISTANT, **options})
        assert run.status_code == 200, run.text
        return str(run.json()["id"])

    def state(self, run_id: str) -> str:
        """A run's state, as the simulated API shows it."""
        thread_id = self.server.api.service.runs[run_id].thread.id
        return str(self.api("GET", f"/threads/{thread_id}/runs/{run_id}").json()["status"])
