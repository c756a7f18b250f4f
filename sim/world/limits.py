"""What an answer may take: its time, and its requests and runs.

A message is *late* if its answer, or an apology for it, left after its deadline: what the relay promises
(`deadline_seconds`), else what the scenario allows. Time counts from when the relay was first handed the message, and anew
from the end of each disturbance that began before the deadline (a fault of Redis or of the API, a worker that was dead or
stood still, and then the time until the message is delivered again). One that got neither is lost, and not late as well.

A conversation *costs too much* if it took more requests, or more runs, than the limits allow for each delivery of its
messages. Looking again at a conversation while a turn is active on it is waiting and costs nothing, as long as
`POLL_SECONDS` lie between two looks of one kind; nor does a request cost anything that failed on its way or by a fault of
the API. Runs that the API itself failed do not count either. Requests that belong to no conversation have the same limit
for all messages together, and one request a second on top.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from relaysim.sim.counted import counted
from relaysim.sim.trace.subjects import Message, Request, Run
from relaysim.sim.world.judge.disturbances import Disturbances
from relaysim.sim.world.judge.history import History
from relaysim.sim.world.judge.history_records import Interval
from relaysim.sim.world.judge.judge_settings import JudgeSettings

POLL_SECONDS: Final = 0.1
"""Looks that come faster than this are no waiting: no answer of the real API is there so soon."""

_NOWHERE: Final = ""
_FAILED_BY_THE_API: Final = frozenset({"failed", "expired", "incomplete"})

Note = Callable[..., None]
"""Called with the name of a count, a sentence, how many it counts, and further facts."""


def check_limits(
    history: History,
    ended_at: Mapping[str, float],
    settings: JudgeSettings,
    note: Note,
) -> None:
    """Note the messages that were late, and those of conversations that cost too much.

    Args:
        history: the world's trace, read.
        ended_at: per message when its first reply or apology left; messages without one are left out.
        settings: what the relay promises, and the limits.
        note: takes what is found, as `late` and `over_cost`.
    """
    promises = settings.promises
    is_promised = "deadline_seconds" in promises.model_fields_set
    allowed = promises.deadline_seconds if is_promised else settings.limits.answer_seconds
    disturbances: Disturbances | None = None
    for message in history.messages.values():
        begun, ended = message.first_start, ended_at.get(message.id)
        if begun is None or ended is None or ended <= begun + allowed:
            continue
        disturbances = disturbances or Disturbances(history, settings)
        if ended > _deadline(message, begun, allowed, history, disturbances):
            whose = "that it promises" if is_promised else "that the scenario allows"
            took = f"{message.id} got its first answer or apology after {ended - begun:.0f} s"
            text = f"{took}; the time {whose} is {allowed:g} s"
            note("late", text, 1, message=message.id, conversation=message.conversation)
    _check_cost(history, settings, note)


def _deadline(message: Message, begun: float, allowed: float, history: History, disturbances: Disturbances) -> float:
    deadline = begun + allowed
    found = disturbances.of_conversation(message.conversation)
    found += [each for handling in message.handlings for each in history.down.get(handling.worker, ())]
    for handling, following in pairwise(message.handlings):
        ended = following.start if handling.end is None else handling.end
        if any(each.begin <= ended and each.end >= handling.start for each in found):
            # A disturbed handling's message is the provider's again, until it delivers it once more.
            found.append(Interval(handling.start, following.start, "redelivery"))
    for each in sorted(found, key=lambda one: one.begin):
        # The others see to a dead worker's messages; the moment of its death is the disturbance.
        end = each.begin if each.kind == "crash" else each.end
        if begun <= end and each.begin <= deadline:
            deadline = max(deadline, end + allowed)
    return deadline


def _check_cost(history: History, settings: JudgeSettings, note: Note) -> None:
    limits = settings.limits
    requests_max, runs_max = limits.requests_per_message, limits.runs_per_message
    if len(history.requests) <= requests_max and len(history.runs) <= runs_max:
        return  # nearly every small world: even all of it together would do
    messages = Counter(message.conversation for message in history.messages.values())
    deliveries = Counter(handling.conversation for handling in history.handlings.values())
    requests: dict[str, list[Request]] = {}
    for request in history.requests.values():
        requests.setdefault(_conversation_of(request, history), []).append(request)
    runs: dict[str, int] = {}
    turns: dict[str, list[Run]] = {}
    for run in history.runs.values():
        turns.setdefault(run.thread, []).append(run)
        if run.request is not None and run.state not in _FAILED_BY_THE_API:
            conversation = _conversation_of(run.request, history)
            runs[conversation] = runs.get(conversation, 0) + 1
    for conversation, those in sorted(requests.items()):
        times = deliveries[conversation] if conversation else sum(deliveries.values())
        allowed = requests_max * times + (0 if conversation else history.end)
        told = limit = ""
        if len(those) > allowed:
            costly = _costly(those, turns)
            if len(costly) > allowed:
                operation, count = Counter(request.operation for request in costly).most_common(1)[0]
                told = f"{counted(len(costly), 'request')} ({count:,} of them {operation}; waiting not counted)"
                limit = f"{requests_max:g}"
        if not told and runs.get(conversation, 0) > runs_max * times:
            told, limit = counted(runs[conversation], "run"), f"{runs_max:g}"
        if told:
            whose = conversation or "what belongs to no conversation"
            for_whom = messages[conversation] if conversation else sum(messages.values())
            text = f"{whose} took {told} in {counted(times, 'delivery')} of messages; the limit is {limit} for each"
            note("over_cost", text, for_whom, conversation=conversation)


def _conversation_of(request: Request, history: History) -> str:
    """Whose a request is, as known at the end; "" if nobody's."""
    known = request.conversation or history.threads.get(request.thread or "")
    if known is not None:
        return known
    handling = history.handlings.get(request.delivery)
    if handling is not None and handling.conversation:
        return handling.conversation
    made = request.run_made
    return _NOWHERE if made is None else history.threads.get(made.thread, _NOWHERE)


def _costly(requests: Sequence[Request], turns: Mapping[str, Sequence[Run]]) -> list[Request]:
    """The requests that are not waiting, and did not fail."""
    spaced: dict[tuple[Any, ...], float] = {}  # when the last look left that may have been waiting
    latest: dict[tuple[Any, ...], Request] = {}
    found = []
    for request in requests:
        if request.failed:
            continue
        place = (request.worker, request.delivery, request.operation, request.thread, request.run)
        before = latest.get(place)
        waits = (
            before is not None
            and request.left - spaced[place] >= POLL_SECONDS
            and before.served_at is not None
            and _is_busy(turns.get(request.thread or "", ()), before.served_at)
        )
        if not waits:
            found.append(request)
        if waits or before is None:
            spaced[place] = request.left
        latest[place] = request
    return found


def _is_busy(turns: Sequence[Run], time: float) -> bool:
    return any(run.created <= time and (run.ended is None or time < run.ended) for run in turns)
