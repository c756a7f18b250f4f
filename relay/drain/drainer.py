"""One worker answering one conversation, under its lease, until nothing waits in the inbox.

    what the last holder left     a send whose fate nobody knows ends as `unknown`; a run, or the creation of one, is
                                  looked up and adopted
    collect                       a burst, for a short time that is capped
    create                        one run for all that waits, its messages in the same request
    follow                        look at the run until it has ended
    deliver                       the epoch is checked in the step that records the send

At every turn the inbox is read anew, so each of these steps is also how a successor goes on after a crash. Redis holds
what must not be forgotten; what this object knows beyond it only saves requests.

Longer than 400 lines because it is the protocol of one lease, from its taking to its release: a reader who follows one
message needs all of its steps in one place.
"""

import asyncio
import random
import uuid
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final, Literal

from relaysim.relay.drain.backend import (
    Backend,
    BackendError,
    Busy,
    Conflict,
    NoThread,
    Refused,
    Rejected,
    RunView,
    Unavailable,
)
from relaysim.relay.drain.channel import Channel, surely_not_sent
from relaysim.relay.drain.drain_settings import DrainSettings
from relaysim.relay.drain.held_lease import HeldLease
from relaysim.relay.drain.identity import EPOCH, REQUEST, answers, is_ours, metadata_of
from relaysim.relay.drain.retries import GRACE_SECONDS, OutOfTimeError, Requests, full_jitter, longest_delay
from relaysim.relay.drain.store import Entry, EntryState, Inbox, LeaseLost, Store, StoreUnavailable
from relaysim.relay.messages import FRIENDLY_APOLOGY, GENERIC_APOLOGY, Outcome
from relaysim.relay.telemetry import Telemetry

_APOLOGIES: Final = {Outcome.FRIENDLY_APOLOGY: FRIENDLY_APOLOGY, Outcome.GENERIC_APOLOGY: GENERIC_APOLOGY}

Whose = Literal["own", "other"]

_CLEARING_SECONDS: Final = 60.0
"""How long runs that nobody waits for are looked for, so that they can be cancelled, before the lease is released."""

_HOPELESS: Final = frozenset({"requires_action", "cancelling"})
"""States that do not lead to an answer: nobody here has tools, and what is being cancelled ends without, or not at all."""


class _SomebodyWaits(Exception):
    """A message has come while nothing was to be done for anybody."""


class Drainer:
    """See the module.

    Args:
        held: the lease.
        store, backend, channel: Redis, the conversation API, and the way to the customer.
        requests: how requests are repeated.
        settings: all waits and limits.
        telemetry: what happened.
    """

    def __init__(
        self,
        held: HeldLease,
        store: Store,
        backend: Backend,
        channel: Channel,
        requests: Requests,
        settings: DrainSettings,
        telemetry: Telemetry,
    ) -> None:
        self._held = held
        self._conversation = held.lease.conversation
        self._store = store
        self._backend = backend
        self._channel = channel
        self._requests = requests
        self._settings = settings
        self._telemetry = telemetry
        self._thread_id = ""
        self._conflicts = 0
        self._blocked_since: float | None = None
        self._seen: Inbox | None = None  # when a conflict, or a move to another thread, made this worker read it
        self._unwanted: list[tuple[str, str | None, str | None]] = []  # (thread, run, or the request that may make it)
        self._settled: set[str] = set()  # messages whose latest creation was refused, seen to end, or left behind
        self._task: asyncio.Task[None] | None = None
        self._is_sending = False
        self._is_handing_back = False
        self._one_by_one = False  # since the API refused what several messages said
        self._is_stopping = False

    # The lease

    async def run(self) -> None:
        """Answer until the inbox is empty and the lease released, or until the lease is lost.

        Raises `asyncio.CancelledError` if it is cancelled by others; the lease is then handed back.
        """
        held = self._held
        self._task = task = asyncio.current_task()
        assert task is not None
        keeper = asyncio.create_task(held.keep(task))
        try:
            await self._drain()
        except LeaseLost as lost:
            self._telemetry.lease_lost(self._conversation, held.lease.epoch, held.lost_because or str(lost))
        except asyncio.CancelledError:
            if held.lost_because is None:
                keeper.cancel()
                await self._hand_back()
                raise
            task.uncancel()
            self._telemetry.lease_lost(self._conversation, held.lease.epoch, held.lost_because)
        except Exception as error:
            # A bug, or something unheard of. The lease runs out, a sweep finds the inbox, and its messages have a deadline.
            self._telemetry.drain_failed(self._conversation, error)
        finally:
            keeper.cancel()

    def stop(self) -> None:
        """Hand the conversation back now, or once a text that is on its way has been sent and recorded."""
        self._is_stopping = True
        if self._task is not None and not self._is_sending and not self._is_handing_back:
            self._task.cancel()

    async def _hand_back(self) -> None:
        self._is_handing_back = True
        try:
            await self._store.hand_back(self._held.lease)
        except (LeaseLost, StoreUnavailable):
            return  # it runs out by itself

    async def _drain(self) -> None:
        store, step = self._store, self._held.step
        while True:
            if self._is_stopping:
                await self._hand_back()
                return
            inbox = await step("inbox", store.inbox)
            if inbox.entries:
                await self._go_on(inbox)
                continue
            await self._clear_unwanted()
            self._one_by_one = False
            self._held.is_ending = True
            if await step("release", store.release):
                self._telemetry.released(self._conversation, self._held.lease.epoch)
                return
            self._held.is_ending = False

    # One turn

    async def _go_on(self, inbox: Inbox) -> None:
        """Take what waits one step further."""
        left = [entry for entry in inbox.entries if entry.state is EntryState.SENDING]
        if left:
            # Whoever sent them did not come to record it: whether the text arrived is not to be known.
            self._telemetry.send_unknown(self._conversation)
            await self._remember_creation(inbox)
            await self._end(left, dict.fromkeys((entry.id for entry in left), Outcome.UNKNOWN))
            return
        until = self._deadline(inbox.entries)
        if self._now() >= until:
            await self._give_up(inbox)
            return
        if not self._thread_id:
            try:
                self._thread_id = await self._thread(until)
            except (OutOfTimeError, Refused) as error:
                late = isinstance(error, OutOfTimeError)
                waiting = [entry.id for entry in inbox.entries]
                await self._apologise(Outcome.FRIENDLY_APOLOGY if late else Outcome.GENERIC_APOLOGY, waiting)
                return
        if inbox.run_id is not None:
            await self._follow(inbox, inbox.run_id, until)
        elif inbox.request_id is not None and (inbox.batch or not self._backend.links_at_end):
            await self._create(inbox, inbox.request_id, until)
        else:
            await self._remember_creation(inbox)
            await self._create(await self._collect(inbox), None, until)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _deadline(self, entries: Sequence[Entry]) -> float:
        """The loop's time at which the oldest message must end in an apology."""
        oldest = max(entry.age_seconds for entry in entries)
        return self._now() + self._settings.deadline_seconds - oldest

    async def _thread(self, until: float) -> str:
        """The conversation's thread, created if it has none."""
        step, store = self._held.step, self._store
        known = await step("thread", lambda lease: store.thread(lease.conversation))
        if known is not None:
            return known
        created = await self._requests.repeat("threads.create", self._backend.open_thread, until)
        return await step("set_thread", lambda lease: store.set_thread(lease, created))

    async def _collect(self, inbox: Inbox) -> Inbox:
        """Wait for the rest of a burst: until the customer pauses, and not for long."""
        settings = self._settings
        while True:
            youngest = min(entry.age_seconds for entry in inbox.entries)
            oldest = max(entry.age_seconds for entry in inbox.entries)
            left = min(settings.burst_gap_seconds - youngest, settings.burst_cap_seconds - oldest)
            if left <= 0 or len(inbox.entries) >= settings.batch_messages_max:
                return inbox
            await asyncio.sleep(left)
            inbox = await self._held.step("inbox", self._store.inbox)

    # Creating a run

    async def _create(self, inbox: Inbox, request_id: str | None, until: float) -> None:
        """Create a run for what waits. With a request id: its creation may be under way, or done, already.

        A creation whose fate is unknown is looked up before it is repeated. That the thread is free is not asked
        beforehand: the API says so itself, in the same step.
        """
        settings, step, store = self._settings, self._held.step, self._store
        uncertain = request_id is not None
        if request_id is None:
            request_id = uuid.uuid4().hex
            entries: Sequence[Entry] = inbox.entries[: 1 if self._one_by_one else settings.batch_messages_max]
        else:
            entries = tuple(entry for entry in inbox.entries if entry.id in inbox.batch) or inbox.entries[:1]
        request: str = request_id
        ids = [entry.id for entry in entries]
        if not await step("intend", lambda lease: store.intend(lease, request, ids)):
            return  # the inbox is not what it was when it was read
        failures = 0
        again = False
        blocker: str | None = None
        start = partial(self._start, request, entries)
        try:
            while True:
                if uncertain and await self._find(request, ids, until):
                    return
                if self._backend.links_at_end and (uncertain or self._has_unwanted() or self._has_unsettled(entries)):
                    if not uncertain and await self._look_up(entries, until) is None:
                        return
                    await self._leave_behind(until)
                    self._settled.update(ids)
                    # That took a while, and whatever came meanwhile may have been written before these.
                    self._seen = await step("inbox", store.inbox)
                    joined = await self._let_latecomers_join(request, entries)
                    if joined is None:
                        return
                    entries, ids = joined, [entry.id for entry in joined]
                    start = partial(self._start, request, entries)
                uncertain = False
                if self._backend.links_at_end and any(entry.attempts for entry in entries):
                    looked_up = await self._look_up(entries, until)
                    if looked_up is None:
                        return
                    start = partial(self._start, request, looked_up)
                uncertain = True
                try:
                    run = await self._requests.once("runs.create", start, again=again, until=until)
                except Conflict as conflict:
                    uncertain, again, blocker = False, False, conflict.run_id
                    self._settled.update(ids)
                    if await self._handle_conflict(blocker, request, until):
                        return
                    blocker = None
                    if self._now() >= until:
                        raise OutOfTimeError("the deadline has passed") from conflict  # what came meanwhile is young
                    joined = await self._let_latecomers_join(request, entries)
                    if joined is None:
                        return
                    entries, ids = joined, [entry.id for entry in joined]
                    start = partial(self._start, request, entries)
                except (Busy, Unavailable) as error:
                    uncertain = isinstance(error, Unavailable)
                    if not uncertain:
                        self._settled.update(ids)
                    failures += 1
                    await self._requests.wait("runs.create", error, failures, until)
                    again = True
                else:
                    await self._started(request, run.id, ids)
                    self._telemetry.run_created(self._conversation, run.id, self._held.lease.epoch, len(ids))
                    return
                if self._now() >= until:
                    raise OutOfTimeError("the deadline has passed")
        except OutOfTimeError:
            # Whatever of ours is on the thread now, or may yet be, answers nobody.
            if uncertain or blocker is not None:
                self._unwanted.append((self._thread_id, blocker, request if uncertain else None))
            if self._backend.links_at_end:
                # Its creation may have been left behind before: what is young among them goes on without it.
                ids = _burst(entries, self._settings.apology_span_seconds)
            await self._apologise(Outcome.FRIENDLY_APOLOGY, ids)
        except NoThread:
            self._settled.update(ids)
            await self._replace_thread(ids, until)
        except Rejected:
            self._settled.update(ids)
            await self._reject(entries)
        except Refused:
            await self._apologise(Outcome.GENERIC_APOLOGY, ids)

    async def _reject(self, entries: Sequence[Entry]) -> None:
        """The API refuses what these messages say. One of several may be to blame: they are tried one by one."""
        step, store = self._held.step, self._store
        await step("take_over", store.take_over)
        if len(entries) > 1:
            self._one_by_one = True
            return
        inbox = await step("inbox", store.inbox)
        (rejected,) = entries
        await self._deliver(GENERIC_APOLOGY, {rejected.id: Outcome.GENERIC_APOLOGY}, inbox)

    async def _start(self, request_id: str, entries: Sequence[Entry]) -> RunView:
        epoch, ids = self._held.lease.epoch, [entry.id for entry in entries]
        # What an earlier run brought is in the thread already, whatever became of that run.
        texts = [entry.text for entry in entries if not entry.appended]
        return await self._backend.start(self._thread_id, texts, metadata_of(epoch, request_id, ids))

    async def _started(self, request_id: str, run_id: str, ids: Sequence[str]) -> None:
        store, appended = self._store, not self._backend.links_at_end
        await self._held.step("started", lambda lease: store.started(lease, request_id, run_id, ids, appended=appended))
        if self._blocked_since is not None:
            self._telemetry.recovered(self._conflicts + 1, self._now() - self._blocked_since, self._conversation)
            self._blocked_since = None
        self._conflicts = 0

    async def _find(self, request_id: str, ids: Sequence[str], until: float) -> bool:
        """Look for a run that a creation of unknown fate may have made; adopt it if it is there."""
        runs = await self._requests.repeat("runs.list", lambda: self._backend.recent(self._thread_id), until)
        found = next((run for run in runs if run.metadata.get(REQUEST) == request_id), None)
        if found is None:
            return False
        await self._started(request_id, found.id, ids)
        self._telemetry.run_adopted(self._conversation, found.id)
        return True

    async def _replace_thread(self, ids: Sequence[str], until: float) -> None:
        """The thread is gone, with all that was said in it, or refuses every further run: go on in a new one."""
        store, step = self._store, self._held.step
        try:
            if self._backend.links_at_end and await self._leave_spoilt(until):
                await step("take_over", store.take_over)
                return
            created = await self._requests.repeat("threads.create", self._backend.open_thread, until)
        except (OutOfTimeError, Refused):
            await self._apologise(Outcome.GENERIC_APOLOGY, ids)
            return
        await self._bind(created)
        await step("take_over", lambda lease: store.take_over(lease, appended=False))

    async def _leave_spoilt(self, until: float) -> bool:
        """Go on in a copy of a thread that can be read and takes no further run. False: it is gone."""
        try:
            await self._bind(await self._copy(until))
        except NoThread:
            return False
        return True

    async def _bind(self, thread_id: str) -> None:
        """The conversation goes on in another thread, unless somebody has bound it to yet another one."""
        old, store = self._thread_id, self._store
        self._thread_id = await self._held.step(
            "replace_thread", lambda lease: store.replace_thread(lease, old, thread_id)
        )

    async def _look_up(self, entries: Sequence[Entry], until: float) -> Sequence[Entry] | None:
        """These messages, with what earlier runs left of them in the thread, where that is known only once they have ended.

        None: one of them had completed, and its reply was not fetched: it was adopted.
        """
        runs = await self._requests.repeat("runs.list", lambda: self._backend.recent(self._thread_id), until)
        for run in runs:
            answered = [entry.id for entry in entries if answers(run.metadata, entry.id)]
            if answered and run.has_reply:
                await self._started(run.metadata[REQUEST], run.id, answered)
                self._telemetry.run_adopted(self._conversation, run.id)
                return None
        return [replace(entry, appended=any(answers(run.metadata, entry.id) for run in runs)) for entry in entries]

    def _has_unwanted(self) -> bool:
        """Whether what nobody waits for may still be at work on the thread, and nothing need refuse another run there."""
        return any(thread_id == self._thread_id for thread_id, _, _ in self._unwanted)

    def _creation_in_doubt(self) -> str:
        """The creation that nobody waits for and that may yet bring its messages into the thread, after later ones; or "".

        It is kept in Redis, where it outlives this worker and its lease: whoever goes on leaves the thread behind. Always ""
        where a thread tells of its runs at once: such a creation is recognised there.
        """
        if not self._backend.links_at_end:
            return ""
        return next((request for thread, _, request in self._unwanted if request and thread == self._thread_id), "")

    async def _remember_creation(self, inbox: Inbox) -> None:
        """Note what another worker, or another lease, gave up before it was known whether it had come to be."""
        if inbox.request_id is None or inbox.run_id is not None or not self._backend.links_at_end:
            return
        if await self._knows_thread() and not self._creation_in_doubt():
            self._unwanted.append((self._thread_id, None, inbox.request_id))

    def _has_unsettled(self, entries: Sequence[Entry]) -> bool:
        """Whether a former holder had created a run for one of these, and nobody here knows that it has ended."""
        return any(entry.attempts and entry.id not in self._settled for entry in entries)

    async def _leave_behind(self, until: float) -> None:
        """A creation of unknown fate is not in the thread yet, and may come to be at any time: go on in a copy without it.

        Between a look and a second creation the first may complete, and nothing would refuse the second.
        """
        old, new = self._thread_id, await self._copy(until)
        await self._bind(new)
        self._telemetry.thread_moved(self._conversation, old, new)

    async def _copy(self, until: float) -> str:
        """A new thread with what is to be kept of this one; the inbox as it was then has been seen.

        What waits for an answer and is in the old thread, with its latest messages, must be in the new one. Where a thread
        tells only late what is in it, what waits is left out, and brought by the next run.
        """
        inbox = await self._held.step("inbox", self._store.inbox)
        waiting = [entry.text for entry in inbox.entries if entry.appended]
        without = [entry.id for entry in inbox.entries] if self._backend.links_at_end else []
        keep = self._settings.moved_messages_max
        copy = partial(self._backend.copy_thread, self._thread_id, keep, waiting, without=without)
        made = await self._requests.repeat("threads.create", copy, until)
        self._seen = inbox
        return made

    # Another run in the way

    async def _handle_conflict(self, run_id: str | None, request_id: str, until: float) -> bool:
        """A run is active on the thread. True: it answers messages of ours, and was adopted; False: the thread is free.

        Raises OutOfTimeError.
        """
        self._seen = None
        if self._blocked_since is None:
            self._blocked_since = self._now()
        self._conflicts += 1
        blocker = await self._blocker(run_id, until)
        if blocker is None or (blocker.ended and not is_ours(blocker.metadata)):
            self._telemetry.conflict(self._conversation, "unknown", run_id)
            await self._wait_or_move_on(until)
            return False
        patience = self._settings.foreign_patience_seconds
        takeover = False
        if is_ours(blocker.metadata):
            inbox = await self._held.step("inbox", self._store.inbox)
            answered = [entry.id for entry in inbox.entries if answers(blocker.metadata, entry.id)]
            own = blocker.metadata.get(EPOCH) == str(self._held.lease.epoch)
            self._telemetry.conflict(self._conversation, "own" if own else "orphan", blocker.id)
            if answered:
                # It may have ended since: a creation that landed late may have answered before anybody looked.
                await self._started(blocker.metadata.get(REQUEST, request_id), blocker.id, answered)
                self._telemetry.run_adopted(self._conversation, blocker.id)
                return True
            self._seen = inbox
            if blocker.ended:
                await self._wait_or_move_on(until)
                return False
            # All that it answers has ended: nobody waits for it, and it only holds the thread.
            patience, takeover = 0.0, True
        else:
            self._telemetry.conflict(self._conversation, "foreign", blocker.id)
        seen = await self._await_end(blocker, min(until, self._now() + patience))
        if not seen.ended:
            whose: Whose = "own" if takeover else "other"
            seen = await self._cancel_and_await(seen, until, whose=whose, takeover=takeover)
        if not seen.ended:
            if self._now() >= until:
                raise OutOfTimeError(f"run {blocker.id} held the thread")
            await self._move_on(until)
        return False

    async def _let_latecomers_join(self, request_id: str, entries: Sequence[Entry]) -> Sequence[Entry] | None:
        """These, and what had come by the time at which the inbox was last read meanwhile, in the inbox's order: what was
        written before goes before, and nobody waits for a second run. None: the inbox is not what it was.
        """
        seen, store = self._seen, self._store
        if seen is None or self._one_by_one:
            return entries
        joined = seen.entries[: self._settings.batch_messages_max]  # what is too much is answered next
        ids = [entry.id for entry in joined]
        if set(ids) == {entry.id for entry in entries}:
            return joined
        intended = await self._held.step("intend", partial(store.intend, request_id=request_id, message_ids=ids))
        return joined if intended else None

    async def _wait_or_move_on(self, until: float) -> None:
        """Before the next attempt at a thread that was refused, and looks free: longer at each conflict.

        A lock that names nobody, and stays for longer than a run may take, is left behind.
        """
        since, patience = self._blocked_since, self._settings.run_patience_seconds
        if self._backend.links_at_end and since is not None and self._now() - since >= patience:
            await self._move_on(until)
            self._blocked_since = self._now()
            return
        await asyncio.sleep(full_jitter(self._settings, self._conflicts - 1))

    async def _blocker(self, run_id: str | None, until: float) -> RunView | None:
        """The run in the way as it is now, perhaps ended meanwhile; None if it is not to be found."""
        if run_id is not None:
            try:
                return await self._requests.repeat("runs.retrieve", partial(self._look, run_id), until)
            except Refused:
                return None
        runs = await self._requests.repeat("runs.list", lambda: self._backend.recent(self._thread_id), until)
        return next((run for run in runs if not run.ended), runs[0] if runs else None)

    async def _await_end(self, run: RunView, until: float, *, or_states: Collection[str] = ()) -> RunView:
        """Look at a run, at growing and jittered intervals, until it has ended, or is in a state, or the time has come."""
        settings = self._settings
        pause = settings.poll_first_seconds
        while not run.ended and run.status not in or_states and self._now() < until:
            seconds = run.look_again_seconds or pause * (0.8 + 0.4 * random.random())
            await asyncio.sleep(min(seconds, until - self._now()))
            pause = min(pause * settings.poll_factor, settings.poll_cap_seconds)
            try:
                run = await self._requests.repeat("runs.retrieve", partial(self._look, run.id), until)
            except OutOfTimeError:
                break
            except Refused:
                return RunView(run.id, "expired")  # the API knows it no more
        return run

    async def _look(self, run_id: str) -> RunView:
        return await self._backend.look(self._thread_id, run_id)

    async def _cancel_and_await(self, run: RunView, until: float, *, whose: Whose, takeover: bool) -> RunView:
        """Cancel a run, whose messages have been taken over, and wait until it has ended: it may yet complete."""
        if run.cancellable:
            try:
                await self._cancel(run.id, until, whose=whose, takeover=takeover)
            except OutOfTimeError:
                return run
        return await self._await_end(run, min(until, self._now() + self._settings.thread_patience_seconds))

    async def _move_on(self, until: float) -> None:
        """The thread is held by a run that does not end when it is cancelled, and may hold it for ten minutes.

        The conversation goes on in a new thread, with what was said last. Nobody waits for the old one's run. Nothing
        happens if there is no new thread: the deadline will come, or the next conflict.
        """
        self._seen = None
        with suppress(OutOfTimeError, Refused):
            await self._leave_behind(until)

    async def _cancel(self, run_id: str, until: float, *, whose: Whose, takeover: bool) -> None:
        self._telemetry.cancel(self._conversation, run_id, whose, takeover)
        await self._requests.repeat("runs.cancel", lambda: self._backend.cancel(self._thread_id, run_id), until)

    # Following a run

    async def _follow(self, inbox: Inbox, run_id: str, until: float) -> None:
        """Look at our run until it has ended, and go by how it ended."""
        step, store = self._held.step, self._store
        ids = [entry.id for entry in inbox.entries if entry.id in inbox.batch]
        if not ids:  # what it answers has ended otherwise
            self._unwanted.append((self._thread_id, run_id, None))
            await step("take_over", store.take_over)
            return
        began = self._now() - (inbox.run_age_seconds or 0.0)
        patience_ends = min(until, began + self._settings.run_patience_seconds)
        run = await self._await_end(RunView(run_id, "queued"), patience_ends, or_states=_HOPELESS)
        needs_action = run.status == "requires_action"
        if not run.ended:
            if run.status not in _HOPELESS:
                if self._now() >= until:
                    await self._give_up(await step("inbox", store.inbox))
                    return
                self._telemetry.conflict(self._conversation, "stuck", run_id)
            await step("take_over", store.take_over)
            run = await self._cancel_and_await(run, until, whose="own", takeover=True)
        if run.ended:
            self._settled.update(ids)
            self._telemetry.run_ended(self._conversation, run_id, run.status, self._now() - began)
        else:
            self._unwanted.append((self._thread_id, run_id, None))
        if needs_action and run.status != "completed":
            # Its assistant calls a tool that nobody here has, and would again.
            await self._apologise(Outcome.GENERIC_APOLOGY, ids)
        elif run.ended:
            await self._conclude(run, ids, inbox.attempts, until)
        elif inbox.attempts >= self._settings.creations_max:
            await self._apologise(Outcome.GENERIC_APOLOGY, ids)
        elif self._now() < until:
            await self._move_on(until)

    async def _conclude(self, run: RunView, ids: Sequence[str], attempts: int, until: float) -> None:
        """A run of ours has ended, the latest of `attempts` for these messages."""
        settings = self._settings
        if run.has_reply:
            # An answer that exists is worth a moment past the deadline.
            text = await self._reply_of(run, max(until, self._now() + settings.cancel_patience_seconds))
            if text is None:
                self._telemetry.lost_reply(self._conversation, run.id, "not_found")
                await self._apologise(Outcome.GENERIC_APOLOGY, ids)
            else:
                await self._answer(text, ids)
            return
        if run.status == "incomplete" or attempts >= settings.creations_max:
            await self._apologise(Outcome.GENERIC_APOLOGY, ids)
            return
        # Cancelled by somebody else, failed or expired: the messages are in the thread, and deserve another run.
        await self._held.step("take_over", self._store.take_over)
        if run.status == "failed":
            await asyncio.sleep(full_jitter(settings, attempts))

    async def _reply_of(self, run: RunView, until: float) -> str | None:
        """What a run wrote; None if that is nothing, or cannot be read by `until`."""
        read = partial(self._backend.reply, self._thread_id, run.id)
        try:
            return await self._requests.repeat("messages.list", read, until)
        except (OutOfTimeError, BackendError):
            return None

    # Ending messages

    async def _give_up(self, inbox: Inbox) -> None:
        """The oldest message's deadline has passed: apologise, unless the answer comes at the last moment.

        What was accepted at about the same time ends with it, and whatever has waited as long: nobody gets an apology for
        each line. A run that also answers younger messages goes on for them. Otherwise it is stopped first.
        """
        overdue = _burst(inbox.entries, self._settings.apology_span_seconds)
        overdue += [message_id for message_id in self._late(inbox.entries) if message_id not in overdue]
        batch = [entry.id for entry in inbox.entries if entry.id in inbox.batch]
        if all(message_id in overdue for message_id in batch):
            if inbox.run_id is not None and batch:
                text = await self._last_words(inbox.run_id, self._deadline(inbox.entries))
                if text is not None:
                    await self._answer(text, batch)
                    return
            elif inbox.request_id is not None:
                if await self._knows_thread():
                    self._unwanted.append((self._thread_id, None, inbox.request_id))
                await self._held.step("take_over", partial(self._store.take_over, in_doubt=self._creation_in_doubt()))
        await self._apologise(Outcome.FRIENDLY_APOLOGY, overdue)

    def _late(self, entries: Sequence[Entry]) -> list[str]:
        """The messages that have waited for as long as they may."""
        return [entry.id for entry in entries if entry.age_seconds >= self._settings.deadline_seconds]

    async def _last_words(self, run_id: str, due: float) -> str | None:
        """Stop a run whose messages' time was over at `due`; returns what it wrote, if it completes before the cancel takes
        effect.

        A text that left until now has used up some of the time in which the apology may leave, or all of it. What is later
        than that, since Redis was away, say, is late whatever happens here, and an answer is worth a moment.
        """
        await self._held.step("take_over", self._store.take_over)
        patience, now = self._settings.cancel_patience_seconds, self._now()
        until = now + patience
        if now < due + longest_delay(self._settings):
            until = min(until, due + GRACE_SECONDS + patience)
        try:
            if not await self._knows_thread():
                return None
            if until + GRACE_SECONDS <= now:
                self._unwanted.append((self._thread_id, run_id, None))
                return None
            run = await self._cancel_and_await(RunView(run_id, "in_progress"), until, whose="own", takeover=True)
            if not run.ended:
                self._unwanted.append((self._thread_id, run_id, None))
            return await self._reply_of(run, until) if run.has_reply else None
        except LeaseLost:
            raise
        except Exception as error:
            # The apology does not depend on whatever is broken here.
            self._telemetry.drain_failed(self._conversation, error)
            return None

    async def _knows_thread(self) -> bool:
        """Whether the conversation has a thread; it is looked up, and not created."""
        if not self._thread_id:
            known = await self._held.step("thread", lambda lease: self._store.thread(lease.conversation))
            self._thread_id = known or ""
        return bool(self._thread_id)

    async def _answer(self, text: str, ids: Sequence[str]) -> None:
        """One text for the messages of a run: it answers the last one, and covers those before it."""
        # Read before the text leaves: nothing comes between its sending and the record of it.
        inbox = await self._held.step("inbox", self._store.inbox)
        await self._deliver(text, dict.fromkeys(ids, Outcome.COVERED) | {ids[-1]: Outcome.ANSWERED}, inbox)

    async def _apologise(self, outcome: Outcome, ids: Sequence[str]) -> None:
        """One apology for these messages and for what waits since about the same time, so that nobody reads two at once.

        What came later goes on: its own time is not over. If that is what the apology says, whose time is over by now gets
        it, too: another one would have to wait until this one has left. But nobody overtakes whom a run goes on for.
        """
        inbox = await self._held.step("inbox", self._store.inbox)
        named = [entry for entry in inbox.entries if entry.id in ids]
        waiting = [entry for entry in inbox.entries if entry.state is EntryState.PENDING or entry.id in ids]
        if named:
            ended = _burst(waiting, self._settings.apology_span_seconds, named) + [entry.id for entry in named]
            goes_on = any(entry.id not in ended and entry.state is not EntryState.PENDING for entry in inbox.entries)
            if outcome is Outcome.FRIENDLY_APOLOGY and not goes_on:
                ended += self._late(waiting)
            await self._deliver(_APOLOGIES[outcome], dict.fromkeys(ended, outcome), inbox)

    async def _deliver(self, text: str, outcomes: Mapping[str, Outcome], inbox: Inbox) -> None:
        """Send a text that ends these messages, of the inbox as it is now."""
        settings = self._settings
        entries = [entry for entry in inbox.entries if entry.id in outcomes]
        began = self._now()
        until = began + settings.send_patience_seconds
        failures = 0
        try:
            while (ended := await self._offer(text, outcomes, until)) is None:
                self._is_sending = False
                if self._is_stopping:
                    return
                failures += 1
                seconds = full_jitter(settings, failures)
                self._telemetry.retry("send", "refused", seconds)
                await asyncio.sleep(seconds)
            await self._end(entries, ended, self._now() - began)
        finally:
            self._is_sending = False

    async def _offer(self, text: str, outcomes: Mapping[str, Outcome], until: float) -> Mapping[str, Outcome] | None:
        """Send a text once; returns how its messages end. None: it surely did not leave, and may be offered again."""
        step, store, ids = self._held.step, self._store, list(outcomes)
        await step("begin_send", lambda lease: store.begin_send(lease, ids, outcomes[ids[-1]]))
        self._held.check()
        self._is_sending = True
        try:
            async with asyncio.timeout(self._settings.send_timeout_seconds):
                await self._channel.send(self._conversation, text, message_ids=ids)
        except Exception as error:
            if not surely_not_sent(error):
                self._telemetry.send_unknown(self._conversation)
                return dict.fromkeys(ids, Outcome.UNKNOWN)
            if self._now() >= until:
                self._telemetry.lost_reply(self._conversation)
                return dict.fromkeys(ids, Outcome.LOST)
            # Whoever goes on from here, should this worker die, may send it.
            await step("not_sent", lambda lease: store.not_sent(lease, ids))
            return None
        return outcomes

    async def _end(self, entries: Sequence[Entry], outcomes: Mapping[str, Outcome], since_seconds: float = 0.0) -> None:
        """End messages; their entries were read so many seconds ago."""
        in_doubt = self._creation_in_doubt()
        await self._held.step("end", lambda lease: self._store.end(lease, outcomes, in_doubt=in_doubt))
        for entry in entries:
            self._telemetry.outcome(self._conversation, outcomes[entry.id], entry.age_seconds + since_seconds)

    # Runs that nobody waits for

    async def _clear_unwanted(self) -> None:
        """Cancel what was left active when its messages ended otherwise, so that its thread becomes free.

        Who writes meanwhile does not wait for it, and the rest is cleared after that. What cannot be cleared uses up no more
        than its share of the time: each is asked for once at least.
        """
        ends_at = self._now() + _CLEARING_SECONDS
        given_up = {each for unwanted in self._unwanted for each in unwanted[1:] if each is not None}
        while self._unwanted:
            thread_id, run_id, _ = self._unwanted[-1]
            share = max(GRACE_SECONDS, (ends_at - self._now()) / len(self._unwanted))
            until, before_again = self._now() + share, self._raise_if_somebody_waits
            repeat = partial(self._requests.repeat, until=until, before_again=before_again)
            try:
                runs = await repeat("runs.list", partial(self._backend.recent, thread_id))
                if run_id is not None and self._backend.links_at_end:
                    runs = [await repeat("runs.retrieve", partial(self._backend.look, thread_id, run_id))]
                for run in runs:
                    # Also what another creation has made that was looked for before, and in vain.
                    is_it = run.id in given_up or run.metadata.get(REQUEST) in given_up
                    if is_it and run.cancellable and is_ours(run.metadata):
                        self._telemetry.cancel(self._conversation, run.id, "own", True)
                        await repeat("runs.cancel", partial(self._backend.cancel, thread_id, run.id))
            except _SomebodyWaits:
                return
            except (OutOfTimeError, Refused):
                pass  # whoever meets it next recognises it by its metadata
            self._unwanted.pop()

    async def _raise_if_somebody_waits(self) -> None:
        if (await self._held.step("inbox", self._store.inbox)).entries:
            raise _SomebodyWaits


def _burst(entries: Sequence[Entry], span_seconds: float, of: Sequence[Entry] = ()) -> list[str]:
    """The messages accepted at most so long after the oldest one (of those given, or of all), in their order."""
    oldest = max(entry.age_seconds for entry in of or entries)
    return [entry.id for entry in entries if entry.age_seconds >= oldest - span_seconds]
