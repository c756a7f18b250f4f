"""Drainers of `drain`, and parts of theirs, that lack one safeguard."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from relaysim.relay.drain.backend import RunView
from relaysim.relay.drain.budget import RetryBudget
from relaysim.relay.drain.drainer import Drainer, Whose
from relaysim.relay.drain.held_lease import HeldLease
from relaysim.relay.drain.identity import metadata_of
from relaysim.relay.drain.retries import Requests, longest_wait
from relaysim.relay.drain.store import Entry, Inbox, Lease
from relaysim.relay.drain.sweeper import Sweeper
from relaysim.relay.messages import FRIENDLY_APOLOGY, Outcome

T = TypeVar("T")

#: Seconds; longer than any world lives.
_FOR_EVER = 1e6

# Under the lease


class NeverRenewed(HeldLease):
    """The lease is taken once and never looked at again."""

    def check(self) -> None:
        """Whoever had the lease once goes on."""

    async def keep(self, holder: asyncio.Task[None]) -> None:
        """Renew nothing."""


class Unchecked(HeldLease):
    """Nobody asks whether the lease may have lapsed."""

    def check(self) -> None:
        """Whoever had the lease once goes on."""


class LateTakeover(HeldLease):
    """What is taken over is written down with the next step: a cancel that comes between goes first."""

    _late: Callable[[Lease], Awaitable[Any]] | None = None

    async def step(self, name: str, call: Callable[[Lease], Awaitable[T]]) -> T:
        """As ever, but a take-over waits."""
        late, self._late = self._late, None
        if late is not None:
            await super().step("take_over", late)
        if name == "take_over":
            self._late = call
            return None  # type: ignore[return-value]
        return await super().step(name, call)


# Runs


class BlindRepeater(Drainer):
    """A creation whose fate is unknown is repeated at once."""

    async def _find(self, request_id: str, ids: Sequence[str], until: float) -> bool:
        return False


class AdoptsAnyRun(Drainer):
    """A run in the way counts as one that answers what waits, whoever created it."""

    async def _blocker(self, run_id: str | None, until: float) -> RunView | None:
        view = await super()._blocker(run_id, until)
        if view is None:
            return None
        inbox = await self._held.step("inbox", self._store.inbox)
        ids = [entry.id for entry in inbox.entries]
        return replace(view, metadata=metadata_of(self._held.lease.epoch, inbox.request_id or "", ids))


class ForgetsRuns(Drainer):
    """A run that takes too long is neither cancelled nor waited for."""

    async def _cancel_and_await(self, run: RunView, until: float, *, whose: Whose, takeover: bool) -> RunView:
        return run

    async def _clear_unwanted(self) -> None:
        self._unwanted.clear()


class NewestFirst(Drainer):
    """Of what waits, the newest message is answered first, alone."""

    async def _collect(self, inbox: Inbox) -> Inbox:
        collected = await super()._collect(inbox)
        return replace(collected, entries=collected.entries[-1:])


# Turns on an API that links a turn's messages at its end


class StaysInTheConversation(Drainer):
    """A turn of unknown fate that is not there is repeated where it may yet arrive."""

    async def _leave_behind(self, until: float) -> None:
        return


class TrustsPredecessors(Drainer):
    """What a former holder had asked for is taken to have ended."""

    def _has_unsettled(self, entries: Sequence[Entry]) -> bool:
        return False


class StaysAtTheLock(Drainer):
    """A lock that names nobody is waited for, however long it stays."""

    async def _wait_or_move_on(self, until: float) -> None:
        await asyncio.sleep(longest_wait(self._settings, self._conflicts - 1))


class SendsAllAgain(Drainer):
    """What a turn that ended badly brought is taken to be gone with it."""

    async def _look_up(self, entries: Sequence[Entry], until: float) -> Sequence[Entry] | None:
        return entries


# Waits


class WaitsForSilence(Drainer):
    """A burst is collected until its customer pauses, however long that takes."""

    async def _collect(self, inbox: Inbox) -> Inbox:
        while True:
            youngest = min(entry.age_seconds for entry in inbox.entries)
            left = self._settings.burst_gap_seconds - youngest
            if left <= 0:
                return inbox
            await asyncio.sleep(left)
            inbox = await self._held.step("inbox", self._store.inbox)


class NoDeadline(Drainer):
    """Messages may wait for ever."""

    def _deadline(self, entries: Sequence[Entry]) -> float:
        return self._now() + _FOR_EVER


class EqualWaits(Requests):
    """The waits before repetitions are the longest ones that are allowed, not drawn at random."""

    def _backoff(self, failures: int) -> float:
        return longest_wait(self._settings, failures - 1)


class EndlessBudget(RetryBudget):
    """Every repetition is allowed."""

    def take(self) -> float:
        """Nothing to wait for."""
        return 0.0


class NoSweeps(Sweeper):
    """Nobody looks for what dead workers left."""

    async def run(self) -> None:
        """Return at once."""


# Texts


class ApologisesAndAnswers(Drainer):
    """At the deadline the customer gets an apology, and the answer all the same once there is one."""

    _apologised = False

    def _deadline(self, entries: Sequence[Entry]) -> float:
        return self._now() + _FOR_EVER if self._apologised else super()._deadline(entries)

    async def _give_up(self, inbox: Inbox) -> None:
        self._apologised = True
        ids = [entry.id for entry in inbox.entries]
        await self._channel.send(self._conversation, FRIENDLY_APOLOGY, message_ids=ids)

    async def _apologise(self, outcome: Outcome, ids: Sequence[str]) -> None:
        if self._apologised:
            await super()._apologise(outcome, ids)
        else:
            await self._give_up(await self._held.step("inbox", self._store.inbox))


class SendsAgain(Drainer):
    """A text whose fate is unknown is offered again."""

    async def _offer(self, text: str, outcomes: Mapping[str, Outcome], until: float) -> Mapping[str, Outcome] | None:
        ended = await super()._offer(text, outcomes, until)
        return None if ended is None or Outcome.UNKNOWN in ended.values() else ended


class CountsAsSent(Drainer):
    """A text whose fate is unknown has been sent."""

    async def _offer(self, text: str, outcomes: Mapping[str, Outcome], until: float) -> Mapping[str, Outcome] | None:
        ended = await super()._offer(text, outcomes, until)
        return ended if ended is None or Outcome.UNKNOWN not in ended.values() else outcomes
