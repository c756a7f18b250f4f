"""What keeps a world from showing anything of its relay and is not the relay's fault.

Four kinds of it. A *call that is not simulated* was refused by nobody but the simulator, so whatever came of it is no
behaviour of the relay's. *Answers from elsewhere*, which chat completions wrote and the relay sent, are in no conversation:
which message they answer, and whether all of it is there, cannot be judged. An *exception out of nothing*: `handle`, or a
task that it started, raised before any text was sent, although nothing in the world had given it a reason, no refusal, no
failure, no run that ended badly, no fault of Redis, no other message. Where most handlings that met no such trouble raise
the same one in the same line, it is the code between the relay and the simulator that does not work yet, and nothing can be
said of the relay. *Turns that nobody told of*: the relay asked for turns in the background and for none of them again, in a
world whose API does not tell of their end.

All are plain texts with counts, so that they add up over worlds and processes.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import redis

from relaysim.sim.kernel import error_text, place_of_error
from relaysim.sim.trace.subjects import Handling, Request, Text
from relaysim.sim.trace.words import TELLING_WORDS, Wording, wording
from relaysim.sim.world.judge.history import History
from relaysim.sim.world.target import NotAcknowledged

IN_LANE_DIRECT: Final = " in lane direct"
"""Ends the name of a call that lane sdk has and lane direct has not."""

_WORDS_MAX: Final = 200
_OF_THE_WORLD: Final = (asyncio.TimeoutError, asyncio.CancelledError, ConnectionError)
_MISUSE_OF_REDIS: Final = (redis.DataError, redis.ResponseError)
_GOING_WELL: Final = frozenset({"queued", "in_progress", "requires_action", "completed"})
_ID: Final = re.compile(r"[\w.-]*\d[\w.-]*")


class UnsimulatedCall(NamedTuple):
    """A request to an address at which nothing is simulated: `POST /v1/chat/completions`, and the line that sent it. Without
    a method it is a call of the SDK's that lane direct has not: `client.responses.stream`."""

    method: str
    path: str
    place: str

    def __str__(self) -> str:
        if not self.method:
            return f"{self.path}{IN_LANE_DIRECT}" + (f" ({self.place})" if self.place else "")
        # Ids would make one call many; of the version's number it is known that it is none.
        first, *rest = self.path.partition("?")[0].lstrip("/").split("/")
        shown = "/".join([first, *("{id}" if _ID.fullmatch(part) else part for part in rest)])
        return f"{self.method} /{shown}" + (f" ({self.place})" if self.place else "")


class Raised(NamedTuple):
    """An exception that ended a handling, or a task that was started in it.

    delivery      whose handling
    what          its class and the line that raised it: `TypeError in my_bot.py:12`
    words         what it says
    of_the_world  whether its class alone says that something in the world was the reason
    in_task       whether it ended a task, and not the handling itself
    """

    delivery: str
    what: str
    words: str
    of_the_world: bool
    in_task: bool = False

    @classmethod
    def by(cls, delivery: str, error: BaseException, *, in_task: bool = False) -> Raised:
        """Of an exception as it was caught."""
        place = place_of_error(error)
        what = error.what if isinstance(error, NotAcknowledged) else type(error).__name__
        what += f" in {place}" if place else ""
        return cls(delivery, what, " ".join(error_text(error).split())[:_WORDS_MAX], _is_of_the_world(error), in_task)


def _is_of_the_world(error: BaseException | None) -> bool:
    """Whether it, or what it was raised from, is how a lock, a fault or a time limit shows itself."""
    seen = 0
    while error is not None and seen < 20:  # a chain may be a circle
        if isinstance(error, NotAcknowledged):
            return False
        if isinstance(error, _OF_THE_WORLD) or type(error).__module__.startswith("relaysim.sim."):
            return True
        if isinstance(error, redis.RedisError) and not isinstance(error, _MISUSE_OF_REDIS):
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False


def obstacles(
    unsimulated: Iterable[UnsimulatedCall],
    raised: Iterable[Raised],
    history: History,
    *,
    api_faults: bool,
    said_elsewhere: Iterable[str] = (),
    untold: bool = False,
) -> dict[str, Any]:
    """What kept this world from showing anything: empty if nothing did.

    Args:
        unsimulated: the calls that nothing answered.
        raised: the exceptions that ended handlings or tasks of theirs.
        history: the world's trace, read.
        said_elsewhere: the texts that chat completions wrote.
        api_faults: whether faults may answer in the API's place, so that no refusal is surely the relay's own mistake.
        untold: whether the API could tell of the end of turns, and does not in this world.

    Returns:
        `unsimulated`: each such call, once; `elsewhere`: the first text that a chat completion wrote and that was sent;
        `raised`: how many handlings each exception out of nothing ended, `said`: what it said first, and `calm`: how many
        handlings met no trouble; `unheard`: how many turns ended that the relay may have waited to be told of. What is empty
        is left out.
    """
    found: dict[str, Any] = {}
    if calls := sorted({str(each) for each in unsimulated}):
        found["unsimulated"] = calls
    if (sent := _from_elsewhere(said_elsewhere, history)) is not None:
        found["elsewhere"] = sent
    if untold and (unheard := _unheard(history)):
        found["unheard"] = unheard
    calm: set[str] | None = None
    for each in dict.fromkeys(raised):
        if each.of_the_world:
            continue
        calm = _calm(history, api_faults) if calm is None else calm
        if each.delivery not in calm or _has_sent(history.handlings[each.delivery]):
            continue
        counts = found.setdefault("raised", {})
        counts[each.what] = counts.get(each.what, 0) + 1
        found.setdefault("said", {}).setdefault(each.what, each.words)
    if "raised" in found:
        found["calm"] = len(calm or ())
    return found


def _unheard(history: History) -> int:
    """How many turns ended after their request had been answered, if nobody ever looked for one and no reply was sent."""
    roles = history.roles
    looks = roles.shows_turn | roles.lists_turns | roles.lists_messages | roles.shows_ends
    if any(send.run is not None for send in history.sends):
        return 0
    if any(request.operation in looks for request in history.requests.values()):
        return 0
    return sum(
        run.request is not None
        and run.request.answered is not None
        and run.request.status == 200
        and run.ended is not None
        and run.request.answered < run.ended
        for run in history.runs.values()
    )


def _from_elsewhere(said: Iterable[str], history: History) -> str | None:
    """The first text that was sent and that no run wrote, but a chat completion, all of it or a part."""
    wordings = [each for each in map(wording, said) if each.words]
    if not wordings:
        return None
    for send in history.sends:
        if send.run is None:
            sent = wording(send.text)
            if any(_holds(sent, each) or _holds(each, sent) for each in wordings):
                return send.text
    return None


def _holds(text: Wording, part: Wording) -> bool:
    """Whether a part stands in a text, and is too long for chance or all of it."""
    return text.holds(part) and (len(part.words) >= TELLING_WORDS or len(part.words) == len(text.words))


def _calm(history: History, api_faults: bool) -> set[str]:
    """The handlings that began while no other was under way, and met no trouble.

    A relay may well raise because another message is being handled, so that the webhook comes again.
    """
    found: set[str] = set()
    busy_until = -1.0
    for handling in sorted(history.handlings.values(), key=lambda each: each.start):
        # What it started may go on after it has returned.
        end = max([handling.end or history.end, *(time for time, _, _ in handling.steps[-1:])])
        if busy_until <= handling.start and not _had_a_reason(handling, end, history, api_faults):
            found.add(handling.delivery)
        busy_until = max(busy_until, end)
    return found


def _has_sent(handling: Handling) -> bool:
    """Whether it came as far as to send a text: then what fails afterwards is no adapter that does not work."""
    return any(isinstance(subject, Text) for _, _, subject in handling.steps)


def _had_a_reason(handling: Handling, end: float, history: History, api_faults: bool) -> bool:
    if any(each.begin <= end and each.end >= handling.start for each in history.redis):
        return True
    for _, _, subject in handling.steps:
        if isinstance(subject, Text):
            if subject.fate != "delivered":
                return True
        elif isinstance(subject, Request) and _gave_a_reason(subject, history, api_faults):
            return True
    return False


def _gave_a_reason(request: Request, history: History, api_faults: bool) -> bool:
    if request.failed or request.refused_by is not None or (api_faults and request.status >= 400):
        return True
    run = request.run_made or history.runs.get(request.run or "")
    return run is not None and any(state not in _GOING_WELL for _, state in run.states)
