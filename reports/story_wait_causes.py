"""What breaches of promises about waits and budgets (L3 to L6) came from, by what the judge names in their facts.

Such a breach lies between records: a lease under which nothing happened, a wait before a repetition, a request that nobody
needed. Its cause are the records on both sides, and what was done in between instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from relaysim.reports.story_cause_kinds import Cause, CauseKind
from relaysim.reports.story_places import Places
from relaysim.sim.trace.chronicle import Chronicle
from relaysim.sim.trace.conversation_evidence import Evidence
from relaysim.sim.trace.holds import Hold

KINDS: Final = frozenset({"breach_L3", "breach_L4", "breach_L5", "breach_L6"})

_RUNS_MAX: Final = 8
"""Creations of one message's runs that are told; beyond that the first ones and the last."""

Record = tuple[float, str, str, Sequence[Any]]


class WaitCauses:
    """The rules.

    Args:
        records, chronicle, places: of the trace.
        holds: of the conversation.
        breach: as an observation has it, with `worker`, `at` (virtual seconds), `requests` and `runs_made_by` where the
            judge names them.
    """

    def __init__(
        self,
        records: Sequence[Record],
        chronicle: Chronicle,
        places: Places,
        holds: Sequence[Hold],
        breach: Mapping[str, Any],
    ) -> None:
        self._last = len(records) - 1
        self._chronicle = chronicle
        self._evidence = Evidence(chronicle)
        self._places = places
        self._holds = [each for each in holds if each.kind == "lease"]
        self._kind = str(breach["kind"])
        self._conversation = str(breach.get("conversation", ""))
        self._worker = str(breach.get("worker", ""))
        self._at = float(breach.get("at", -1.0))
        self._pairs = list(breach.get("requests", ()))
        self._creations = list(breach.get("runs_made_by", ()))

    def all(self) -> Iterator[Cause]:
        """Every cause, by the rules in their order."""
        if self._kind in ("breach_L3", "breach_L4"):
            yield from self._idle()
        elif self._kind == "breach_L5":
            yield from self._repeated()
            yield from self._runs_again()
        else:
            yield from self._in_vain()

    def _idle(self) -> Iterator[Cause]:
        lease = next((each for each in self._holds if (each.worker, each.began) == (self._worker, self._at)), None)
        if lease is None:
            return
        own = [place for place, whose in self._done() if whose == self._conversation and place > lease.begin]
        until = min([*own[:1], *([lease.end] if lease.end >= 0 else [])], default=self._last)
        yield Cause(CauseKind.IDLE_LEASE, (lease.begin, own[0] if own and own[0] == until else lease.end))
        if self._kind == "breach_L3":
            came = [
                self._places.ended[handling.delivery]
                for handling in self._chronicle.handlings.values()
                if handling.conversation == self._conversation
                and lease.begin < self._places.ended.get(handling.delivery, -1) < until
            ]
            if came:
                yield Cause(CauseKind.CAME_MEANWHILE, (min(came), max(came)))
            return
        others = [place for place, whose in self._done() if whose != self._conversation and lease.begin < place < until]
        if others:
            yield Cause(CauseKind.SERVED_OTHERS, (others[0], others[-1]))

    def _done(self) -> list[tuple[int, str]]:
        """What the worker did for which conversation: its requests, where they were served, and its texts."""
        done = [
            (
                self._places.served.get(each.id, each.index),
                self._evidence.conversation_of(each.delivery, thread=each.thread),
            )
            for each in self._chronicle.requests.values()
            if each.worker == self._worker
        ]
        done += [(each.index, each.conversation) for each in self._chronicle.sends if each.worker == self._worker]
        return sorted(done)

    def _repeated(self) -> Iterator[Cause]:
        for failed_id, again_id in zip(self._pairs[::2], self._pairs[1::2], strict=True):
            failed, again = self._chronicle.requests.get(failed_id), self._chronicle.requests.get(again_id)
            if failed is not None and again is not None:
                # Where the server refused it, that line says why; else it is where the answer should have come.
                refused = failed.served_status >= 400
                place = (self._places.served if refused else self._places.answered).get(failed.id, -1)
                yield Cause(CauseKind.REPEATED, (place, again.index))

    def _runs_again(self) -> Iterator[Cause]:
        places = [self._places.served[each] for each in self._creations if each in self._places.served]
        half = _RUNS_MAX // 2
        shown = places if len(places) <= _RUNS_MAX else [*places[:half], *places[-half:]]
        if shown:
            yield Cause(CauseKind.RUNS_AGAIN, tuple(shown))

    def _in_vain(self) -> Iterator[Cause]:
        # As Redis answers a request for a lease that it does not grant.
        asked = [each for each in self._places.refused if each[3].key.endswith(f":{self._conversation}")]
        breach = next((each for each in asked if (each[1], each[2]) == (self._at, self._worker)), None)
        if breach is None:
            return
        place, _, _, command = breach
        holder = next((each for each in self._holds if each.begin < place and not -1 < each.end < place), None)
        if holder is not None:
            yield Cause(CauseKind.ASKED_IN_VAIN, (holder.begin, place))
            return
        freed = max((each.end for each in self._holds if -1 < each.end < place), default=-1)
        before = [
            at
            for at, _, _, event in asked
            if freed < at < place and (event.command, event.key) == (command.command, command.key)
        ]
        yield Cause(CauseKind.ASKED_IN_VAIN, (freed, *before[-1:], place))
