"""What a relay must promise (S1 to S16, L1 to L7), checked on the trace of one world.

`INVARIANTS` names the promises and their counts. Those of a lease are judged if the relay declares one and some worker ever
held it, those of a ledger if the relay keeps one (`outcome_of`); S9, S12 to S15 and L5 need neither. A relay without both is
judged by what its customers wrote and saw.

A breach is definite: where the trace allows another reading, the judge is silent, and each check says what it would miss.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from relaysim.sim.kernel import Record
from relaysim.sim.world.judge.catalogue import BREACH_OF, CHECKED_OF, JUDGED_COUNTS, PROMISES, TITLES
from relaysim.sim.world.judge.content import check_order_of_writing, check_stored
from relaysim.sim.world.judge.dialogue import check_assistants_words, check_remembered
from relaysim.sim.world.judge.disturbances import Disturbances
from relaysim.sim.world.judge.endings import check_apologies, check_endings, check_order, check_sent_once
from relaysim.sim.world.judge.findings import Findings
from relaysim.sim.world.judge.forgotten_texts import check_forgotten
from relaysim.sim.world.judge.history import History
from relaysim.sim.world.judge.history_records import Interval
from relaysim.sim.world.judge.idling import check_claims, check_leases_kept
from relaysim.sim.world.judge.judge_settings import JudgeSettings
from relaysim.sim.world.judge.leases import check_cancels, check_releases, check_runs, check_steps
from relaysim.sim.world.judge.liveness import check_first_actions, check_outcomes_in_time, check_recovery
from relaysim.sim.world.judge.lookups import check_lookups
from relaysim.sim.world.judge.ownership import check_ownership
from relaysim.sim.world.judge.pieces import check_messages, check_pieces
from relaysim.sim.world.judge.repeats import check_repeats
from relaysim.sim.world.judge.reply_origin import check_replies
from relaysim.sim.world.judge.sent_words import check_replies_words, check_withheld
from relaysim.sim.world.judge.world_facts import NO_FACTS, WorldFacts

__all__ = [
    "BREACH_TITLES",
    "CHECKED",
    "INVARIANTS",
    "JUDGED_COUNTS",
    "Findings",
    "JudgeSettings",
    "judge",
    "judge_history",
    "read_history",
]

_OF_CUSTOMERS: Final[Mapping[str, str]] = {
    "T1-no-message-lost": "lost",
    "T2-one-reply-per-message": "duplicate_reply",
    "T3-replies-in-order": "out_of_order",
    "T4-no-apology-for-an-answered-message": "apology_despite_cover",
    "T5-right-conversation": "wrong_conversation",
    "T6-no-answer-left-unsent": "answered_but_apologised",
}
"""Transparency: what no customer should notice, of any relay."""

_TITLES_OF_CUSTOMERS: Final[Mapping[str, str]] = {
    "T1-no-message-lost": "A message was never answered",
    "T2-one-reply-per-message": "A message was answered twice",
    "T3-replies-in-order": "A reply came before the one for an earlier message",
    "T4-no-apology-for-an-answered-message": "An apology came for an answered message",
    "T5-right-conversation": "A reply reached another conversation",
    "T6-no-answer-left-unsent": "An answer was left unsent, and an apology sent",
}

BREACH_TITLES: Final[Mapping[str, str]] = {
    **_TITLES_OF_CUSTOMERS,
    **{f"{each}-{name}": TITLES[each] for each, name in PROMISES.items()},
}
"""How the story of a breach is headed, by the invariant's name."""

INVARIANTS: Final[Mapping[str, str]] = {**_OF_CUSTOMERS, **BREACH_OF}
"""Invariants, and the count of each one's breaches."""

CHECKED: Final[Mapping[str, str]] = {**dict.fromkeys(_OF_CUSTOMERS, "messages"), **CHECKED_OF}
"""Invariants, and the count of the cases in which each could have been broken."""


def judge(
    records: Iterable[Record],
    threads: Mapping[str, str],
    ledger: Mapping[str, str | None] | None,
    settings: JudgeSettings,
    redis_pauses: Iterable[tuple[float, float]] = (),
    facts: WorldFacts = NO_FACTS,
) -> Findings:
    """Judge one world.

    Args:
        records: its trace.
        threads: the conversation of each thread that was there from the start.
        ledger: per message the outcome that the relay has recorded, None for none; None: the relay keeps no ledger.
        settings: the numbers behind the promises.
        redis_pauses: from when to when a command waited for a pause of the Redis server, or for replicas that lagged, which
            leaves no record.
        facts: what else the judge is told.
    """
    return judge_history(read_history(records, threads, settings), ledger, settings, redis_pauses, facts)


def read_history(records: Iterable[Record], threads: Mapping[str, str], settings: JudgeSettings) -> History:
    """Read a trace once, for the judge and whoever else wants a chronicle of it.

    Args:
        records: the trace.
        threads: the conversation of each thread that was there from the start.
        settings: what is known of the API's operations and the relay's keys and texts.
    """
    history = History(settings.roles, threads, settings.promises.lease, settings.apologies, settings.notices)
    history.read(records)
    return history


def judge_history(
    history: History,
    ledger: Mapping[str, str | None] | None,
    settings: JudgeSettings,
    redis_pauses: Iterable[tuple[float, float]] = (),
    facts: WorldFacts = NO_FACTS,
) -> Findings:
    """As `judge`, of a trace that has been read."""
    history.redis += [Interval(begin, end, "pause") for begin, end in redis_pauses]
    disturbances = Disturbances(history, settings)
    findings = Findings()
    check_lookups(history, disturbances, findings)
    check_repeats(history, settings, facts, findings)
    check_replies(history, findings)
    check_sent_once(history, disturbances, findings)
    if settings.promises.ordered:
        check_order(history, disturbances, findings)
        check_order_of_writing(history, disturbances, findings)
    check_ownership(history, settings.apologies | settings.notices, findings)
    check_stored(history, findings)
    check_remembered(history, settings.promises.remembers, findings)
    check_replies_words(history, findings)
    check_withheld(history, settings, facts, findings)
    check_pieces(history, findings)
    check_messages(history, findings)
    check_assistants_words(history, settings.apologies | settings.notices, findings)
    check_apologies(history, settings, disturbances, findings)
    lease = settings.promises.lease
    if history.has_leases:
        check_steps(history, settings, disturbances, findings)
        check_runs(history, settings, disturbances, findings)
        if lease is not None and lease.steps.hand_over:
            check_cancels(history, settings, disturbances, findings)
        check_releases(history, ledger, settings, disturbances, findings)
        check_recovery(history, ledger, settings, disturbances, findings)
        check_first_actions(history, settings, disturbances, findings)
        check_claims(history, disturbances, findings)
        check_leases_kept(history, settings, disturbances, findings)
    if ledger is not None:
        check_endings(history, ledger, settings, disturbances, facts, findings)
        check_outcomes_in_time(history, ledger, settings, disturbances, findings)
        if settings.promises.forgets_texts:
            check_forgotten(history, ledger, disturbances, facts, findings)
    return findings
