"""The simulated Threads API in a test's hands: what the fixtures `simulated_openai` and `openai_server` give."""

from __future__ import annotations

from relaysim.sim.backends.threads.handle import ThreadsHandle
from relaysim.sim.doors.in_process import InProcessApi
from relaysim.sim.doors.served import ServedApi


class InProcessOpenAI(ThreadsHandle, InProcessApi):
    """In the process of the test, in virtual time: see `InProcessApi` and `ThreadsHandle`."""


class ServedOpenAI(ThreadsHandle, ServedApi):
    """On a socket: see `ServedApi` and `ThreadsHandle`."""
