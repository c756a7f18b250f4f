"""From a trace to plain data: what became of each message, as the customers saw it and as the wire shows it.

Definitions (the incident report's terms, made exact):

- A message is in a thread if its words are, all of them and in their order, whatever form the relay gave them: quoted,
  escaped, wrapped, among others. Nothing else of a text counts, no id or marker in it.
- A reply *covers* message m if m was in the thread when the reply's run was created. Which run wrote a sent text is known
  from its words in the same way; a text may also be a piece of a reply.
- A message is *answered* by a reply sent in its own handling, *covered* by one sent in another's, and *lost* if no sent
  reply covers it, whether or not somebody apologised.
- A reply is *about* the messages that no earlier reply of its conversation covered. One that is about none is a
  duplicate, unless it is a further piece of the reply before. One whose messages were all written before some message
  that was replied to already is out of order, unless they had not reached the relay when that reply's run was created.
- A text that no run wrote is an apology if it is the scenario's or one that the relay declares, if the relay says that it
  ends a message, or if it says that something failed, unless its handling asked the API for something afterwards and then
  sent an answer (merely "sorry for the wait": unless an answer followed). Any other is a notice ("One moment please
  ..."), which is no answer; how many there may be, when, and who vouches for them: see `relaysim.sim.world.notices`.
- A message *met an active run* if an append in its handling was refused because of one. What its relay then *waited* is
  the time between that refusal and the append's success, or the customer's text, in which its handling had no request
  under way. Steps of the loop take no virtual time, so a sleep of 2 s counts as exactly 2.
- A message *failed* if an apology was sent for it, or nothing covers it; otherwise it *succeeded*.

- Where a relay says which messages a text ends (`send.for`), an apology is one for those, and a reply answers the last of
  them. Otherwise it belongs to the message in whose handling it was sent. A text that surely never arrived is no text.
- The SDK's own waits before it repeats a failed request are not the relay's.

Nothing else is taken from what the relay says of itself, except that its log lines are compared with what it did. What a
relay with a ledger and leases must promise beyond this is judged by `relaysim.sim.world.invariants`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from relaysim.sim.kernel import Record
from relaysim.sim.trace.schema import LoopBlocked
from relaysim.sim.world.after_answers import check_after_answers
from relaysim.sim.world.invariants import JudgeSettings, judge_history, read_history
from relaysim.sim.world.judge.catalogue import CONTENT_BREACHES
from relaysim.sim.world.judge.findings import DETAILS_MAX
from relaysim.sim.world.judge.world_facts import NO_FACTS, WorldFacts
from relaysim.sim.world.limits import check_limits
from relaysim.sim.world.notices import check_notices
from relaysim.sim.world.obstacles import Raised, UnsimulatedCall, obstacles
from relaysim.sim.world.outcomes import COUNTS, SERIES, Outcomes
from relaysim.sim.world.own_words import own_words

__all__ = ["COUNTS", "SERIES", "Texts", "observe"]


class Texts(Protocol):
    """What is needed of the relay under test."""

    @property
    def friendly_text(self) -> str: ...

    @property
    def generic_text(self) -> str: ...

    @property
    def settings(self) -> dict[str, Any]: ...


def observe(
    records: Iterable[Record],
    relay: Texts,
    threads: Mapping[str, str],
    *,
    promises: JudgeSettings,
    seed: int = 0,
    fingerprint: str = "",
    ledger: Mapping[str, str | None] | None = None,
    redis_pauses: Iterable[tuple[float, float]] = (),
    unsimulated: Iterable[UnsimulatedCall] = (),
    said_elsewhere: Iterable[str] = (),
    raised: Iterable[Raised] = (),
    api_faults: bool = False,
    untold: bool = False,
    facts: WorldFacts = NO_FACTS,
) -> dict[str, Any]:
    """Distil one world.

    Args:
        records: its trace.
        relay: the apologies' texts and the settings of the relay under test.
        threads: the conversation of each thread.
        promises: what the API's operations do, and the numbers behind what the relay promises.
        seed: the replication's seed, passed through.
        fingerprint: the trace's, passed through.
        ledger: per message the outcome that the relay has recorded, None for none; None: the relay keeps no ledger.
        redis_pauses: from when to when a command waited for a pause of the Redis server, which leaves no record.
        unsimulated, said_elsewhere, raised, api_faults, untold: see `relaysim.sim.world.obstacles.obstacles`.
        facts: what else the judge is told.

    Returns:
        `seed`, `fingerprint`, `counts` (see `COUNTS`), `series` (see `SERIES`), `details` (per count at most three
        dicts whose `text` is a sentence), `handlings` (how many there were), `own_words` (see
        `relaysim.sim.world.own_words`), `exceptions` (see `relaysim.sim.world.after_answers`), `blocked` (per line
        that held up an event loop how many `times` it did and its longest `seconds`), `obstacles` (see there),
        `looks` (the commands that read what waits, as the relay declares them), `longest_handling` (seconds until the
        slowest `handle` returned), `virtual_seconds` and `events`.
    """
    history, lease = read_history(records, threads, promises), promises.promises.lease
    outcomes = Outcomes(history, relay.friendly_text, relay.settings, promises.order_seconds)
    outcomes.judge()
    check_limits(history, outcomes.ended_at, promises, outcomes.note)
    outcomes.counts["notices"] = check_notices(history, outcomes.ended_at, promises, outcomes.note)
    raised = list(raised)
    exceptions = check_after_answers(raised, history, outcomes.note)
    findings = judge_history(history, ledger, promises, redis_pauses, facts)
    details = outcomes.details | findings.details
    outcomes.add_breaches(findings.counts, findings.breached)
    for name in CONTENT_BREACHES:
        if name in details:
            details["transparency_breaches"] = [*details.get("transparency_breaches", ()), *details[name]][:DETAILS_MAX]
    return {
        "seed": seed,
        "fingerprint": fingerprint,
        "counts": outcomes.counts | findings.counts,
        "series": outcomes.series,
        "details": details,
        "handlings": len(history.handlings),
        "longest_handling": max(
            (each.end - each.start for each in history.handlings.values() if each.end is not None), default=0.0
        ),
        "own_words": own_words(history),
        "exceptions": exceptions,
        "blocked": _blocked(history.blocked_loops),
        "obstacles": obstacles(
            unsimulated, raised, history, api_faults=api_faults, said_elsewhere=said_elsewhere, untold=untold
        ),
        "looks": [] if lease is None else [each.partition(" ")[0] for each in lease.steps.read_inbox],
        "virtual_seconds": history.end,
        "events": history.count,
    }


def _blocked(events: Iterable[LoopBlocked]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for event in events:
        known = found.setdefault(event.place, {"times": 0, "seconds": 0.0})
        known["times"] += 1
        known["seconds"] = max(known["seconds"], event.seconds)
        if not event.is_over:
            known["for_ever"] = True
    return found
