"""How a handling met an active run: its refused appends, what its relay then did and waited, and what it should have logged.

Everything is taken from the handling's requests and texts as the chronicle has them, in their order.
"""

from __future__ import annotations

import re
from typing import Final

from relaysim.sim.trace.operation_roles import OperationRoles
from relaysim.sim.trace.subjects import REPEATED_STATUSES, Handling, Request

_SDK_RETRIES: Final = 2
"""How often the SDK repeats a request by itself, as it comes; what is repeated then, the relay repeats."""

_PROMISED: Final = re.compile(
    r"\[OpenAI\] (?:Active run detected during message creation \(attempt \d+/\d+\)"
    r"|Attempting to cancel run run_\w+|Run run_\w+ cancellation requested|Waiting \d+ms before retry\.\.\."
    r"|Message created successfully \(attempt \d+\)|Failed to create message after \d+ attempts)$"
)


class Encounter:
    """A handling whose append was refused because of an active run.

    Args:
        handling: which.
        roles: what the API's operations do.

    Attributes:
        conflicts: how many appends were refused so.
        recovered_at: the attempt whose append succeeded; 0: none did, or only after a text had been sent.
        waited: how long its relay waited after that, in seconds, without a request under way.
        refused_at, cleared_at: when its relay saw the first refusal, and when that was over; None: never. An append that is
            a turn too, and may be answered at its end only, is over when the service has taken it.
        clearing_requests: how many requests left in between.
    """

    def __init__(self, handling: Handling, roles: OperationRoles) -> None:
        self.handling = handling
        self._cancels, self._starts = roles.cancels, roles.starts
        self.conflicts = 0
        self.recovered_at = 0
        self.waited = 0.0
        self.refused_at: float | None = None
        self.cleared_at: float | None = None
        self.clearing_requests = 0
        self._done = False
        self._in_flight = 0
        self._idle_since = 0.0
        self._failed: tuple[str, str | None, str | None] | None = None  # the request that the SDK may repeat
        self._failures = 0
        self._conflicting: list[tuple[str, str | float]] = []  # what the log lines should tell
        for time, step, subject in handling.steps:
            if not isinstance(subject, Request):
                self._send(time)
            elif step == "request":
                self._request(time, subject)
            elif step == "served":
                self._served(time, subject)
            else:
                self._response(time, subject)

    def _send(self, time: float) -> None:
        if self._in_flight == 0:
            self._idle(time)
        self._done = True
        if self.cleared_at is None:
            self.cleared_at = time

    def _request(self, time: float, request: Request) -> None:
        if self._in_flight == 0:
            if self._failed == (request.operation, request.thread, request.run):
                self._idle_since = time
            else:
                self._idle(time)
        self._in_flight += 1
        if self.refused_at is not None and self.cleared_at is None:
            self.clearing_requests += 1

    def _idle(self, time: float) -> None:
        if self.conflicts and not self._done and time > self._idle_since:
            gap = time - self._idle_since
            self.waited += gap
            self._conflicting.append(("waited", gap))
        self._idle_since = time

    def _served(self, time: float, request: Request) -> None:
        status = request.served_status
        if request.appends and request.refused_by is not None:
            self.conflicts += 1
            self._conflicting.append(("conflict", request.refused_by.id))
        elif request.appends:
            if status == 200 and self.conflicts and not self._done:
                self.recovered_at = self.conflicts + 1
                self._done = True
                if request.operation in self._starts and self.cleared_at is None:
                    self.cleared_at = time
        elif request.operation in self._cancels and status in (200, 400) and self.conflicts:
            self._conflicting.append(("cancelled" if status == 200 else "cancel_refused", request.run or ""))

    def _response(self, time: float, request: Request) -> None:
        status = request.status
        self._in_flight -= 1
        self._idle_since = time
        if request.appends and self.conflicts and self.cleared_at is None:
            if self.refused_at is None:
                self.refused_at = time
            elif status == 200:
                self.cleared_at = time
        if status in REPEATED_STATUSES or status >= 500:
            repeated = (request.operation, request.thread, request.run)
            self._failures = self._failures + 1 if self._failed == repeated else 1
            self._failed = repeated if self._failures <= _SDK_RETRIES else None
        else:
            self._failed = None

    @property
    def logged(self) -> list[str]:
        """The promised lines that its relay has logged."""
        found = (_PROMISED.search(text) for text in self.handling.logs)
        return [line.group(0) for line in found if line is not None]

    def promised(self, attempts: int, *, cancels_once: bool) -> list[str]:
        """The lines that the report promises for what this handling did.

        Args:
            attempts: how many appends its relay tries.
            cancels_once: whether it cancels a run only at the first conflict with it.
        """
        lines = []
        conflicts = 0
        settled = set()
        for what, value in self._conflicting:
            if what == "conflict":
                conflicts += 1
                lines.append(f"[OpenAI] Active run detected during message creation (attempt {conflicts}/{attempts})")
                if value not in settled or not cancels_once:
                    lines.append(f"[OpenAI] Attempting to cancel run {value}")
            elif what == "cancelled":
                settled.add(value)
                lines.append(f"[OpenAI] Run {value} cancellation requested")
            elif what == "cancel_refused":
                settled.add(value)
            else:
                lines.append(f"[OpenAI] Waiting {round(float(value) * 1000)}ms before retry...")
        if self.recovered_at:
            lines.append(f"[OpenAI] Message created successfully (attempt {self.recovered_at})")
        elif conflicts >= attempts:
            lines.append(f"[OpenAI] Failed to create message after {attempts} attempts")
        return lines
