"""The wire of the Threads API: its routes, its beta header, and what a query may ask to include."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from relaysim.sim.backends.threads import thread_errors
from relaysim.sim.backends.threads.operations import OPERATIONS
from relaysim.sim.backends.wire import Routes, Wire

BETA: Final = "assistants=v2"
BETA_1: Final = "assistants=v1"
"""What clients of the first version say (openai for Python before 1.21)."""

INCLUDABLE: Final = "step_details.tool_calls[*].file_search.results[*].content"
"""The one value of `include[]` (documented). It changes nothing here: no simulated assistant searches files."""


class ThreadsWire(Wire):
    """Every request must carry the beta header besides a key."""

    routes = Routes(OPERATIONS, {"include[]": (INCLUDABLE,)})
    spoken = "Threads API"
    read_headers = (*Wire.read_headers, "openai-beta")
    polled = "runs.retrieve"

    def admit(self, headers: Mapping[str, str]) -> None:
        """As `Wire.admit`: the key is checked before the beta header."""
        authorization, beta = headers.get("authorization", ""), headers.get("openai-beta")
        if authorization == self._admitted_last and beta == BETA:
            return  # most requests come from the client of the one before
        self.check_key(authorization)
        betas = [part.strip() for part in (beta or "").split(",")]
        if BETA not in betas:
            raise thread_errors.version_1_is_gone() if BETA_1 in betas else thread_errors.no_beta_header()
        self._admitted_last = authorization
