"""Events of the simulated API leave the server: real HTTP requests to an endpoint, while virtual time goes on.

An endpoint has as long as the settings say in virtual seconds; at speed 0 no time passes while it answers. Redirections are
not followed: they acknowledge nothing (documented). No proxy of this machine is used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager

import httpx2

from relaysim.sim.backends.webhook_events import Attempt

REAL_SECONDS_MAX = 60.0
"""No request takes longer, however slowly virtual time passes."""


class EventSender:
    """Sends attempts, each in a task of its own on the server's loop.

    Args:
        present: the API at the present instant, as of `SimulatedServer.present`.
    """

    def __init__(self, present: Callable[[], AbstractContextManager[object]]) -> None:
        self._present = present
        self._tasks: set[asyncio.Task[None]] = set()

    def post(self, attempt: Attempt, url: str) -> None:
        """Begin to send an attempt; called in an event of the kernel, on the loop."""
        task = asyncio.get_running_loop().create_task(self._send(attempt, url))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        """Give up what is under way."""
        for task in self._tasks:
            task.cancel()

    async def _send(self, attempt: Attempt, url: str) -> None:
        try:
            async with httpx2.AsyncClient(trust_env=False, timeout=REAL_SECONDS_MAX) as client:
                response = await client.post(url, content=attempt.event.body, headers=dict(attempt.headers))
        except httpx2.HTTPError as error:
            with self._present():
                attempt.failed(type(error).__name__)
        else:
            with self._present():
                attempt.answered(response.status_code)
