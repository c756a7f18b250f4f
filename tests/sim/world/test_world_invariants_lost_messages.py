"""S1, S10, S14, L1 and L2 where a failover takes back that a message was accepted, on traces written by hand.

A relay that replicas confirm answers for what it said that it had: whose `handle` had returned. What a handling had stored
that raised is there as long as no failover takes it back; then the message counts from its next acceptance.
"""

from __future__ import annotations

import pytest
from judged_story import CONFIRMED, PROMISES, JudgedStory

from relaysim.sim.world.judge.promises import Promises

FAILOVER = {"failover": 1.0}
"""A failover loses the writes of the last second."""


def deliver(story: JudgedStory, delivery: str, at: float, *, fails: bool = False, ends_at: float | None = None) -> None:
    """A delivery of `c1.m1` is accepted by Redis, and its handling returns, or raises."""
    story.add("w1", "handling.start", delivery, "c1.m1", int(delivery[-1]), at=at)
    story.redis("w1", "accept", "c1", delivery=delivery, reply="4 items")
    story.add("w1", "handling.end", delivery, None, "InboxUnavailable" if fails else None, at=ends_at)


def failed_over(*, fails: bool = True, ends_at: float = 3.5, again_at: float | None = None) -> JudgedStory:
    """`c1.m1` is accepted at 1.5 s; Redis fails over at 2 s, and is back at 3 s. Perhaps it comes again."""
    story = JudgedStory()
    story.ledger["c1.m1"] = None
    story.add("customer:c1", "message.sent", "c1.m1", "c1", "Question [c1.m1]", None, at=1.0)
    deliver(story, "c1.m1#1", 1.5, fails=fails, ends_at=min(ends_at, 2.0))
    end = story.records.pop()
    story.add("redis", "redis.fault", "failover", "", "", at=2.0)
    story.add("redis", "redis.back", "failover", at=3.0)
    if ends_at < 2.0:
        story.records.insert(-2, end)
    else:
        story.records.append(end._replace(time=ends_at))
    if again_at is not None:
        deliver(story, "c1.m1#2", again_at)
    return story


def stored_late(story: JudgedStory) -> JudgedStory:
    """The customer's second message is stored alone, and the first one a while later."""
    story.accept("c1.m2", lease=True, at=5.0)
    story.redis("w1", "inbox", "c1", reply="6 items")
    story.answer_all("run_a", "c1.m2")
    deliver(story, "c1.m1#3", 20.0)
    story.answer_all("run_b", "c1.m1")
    return story


@pytest.mark.parametrize(
    ("story", "promises", "lost_seconds", "broken"),
    [
        (failed_over(), CONFIRMED, 1.0, False),
        (failed_over(), CONFIRMED, 0.4, True),  # the failover goes less far back
        (failed_over(ends_at=1.75), CONFIRMED, 1.0, False),  # it raised before the failover
        (failed_over(fails=False, ends_at=1.75), CONFIRMED, 1.0, True),  # its provider was told that it was taken
        (failed_over(fails=False, ends_at=1.75), PROMISES, 1.0, False),  # which is no promise without replicas
        (failed_over(again_at=4.0), CONFIRMED, 1.0, True),  # it came again in time
        (failed_over(again_at=4.0), PROMISES, 1.0, True),
    ],
)
def test_what_a_failover_took_back_need_not_be_stored_first_until_it_comes_again(
    story: JudgedStory, promises: Promises, lost_seconds: float, broken: bool
) -> None:
    counts = stored_late(story).findings(promises=promises, lost_seconds={"failover": lost_seconds}).counts
    assert counts["breach_S14"] == broken
    assert (counts["residue_lost_writes"] > 0) == (not broken and promises is PROMISES)


def test_a_failover_that_excuses_one_later_message_excuses_no_other_one() -> None:
    story = failed_over()
    story.accept("c1.m2", lease=True, at=5.0)
    story.redis("w1", "inbox", "c1", reply="6 items")
    story.answer_all("run_a", "c1.m2")
    deliver(story, "c1.m1#2", 10.0)
    story.accept("c1.m3", at=11.0)
    story.redis("w1", "inbox", "c1", reply="6 items")
    story.answer_all("run_b", "c1.m3")
    story.answer_all("run_c", "c1.m1")
    findings = story.findings(promises=CONFIRMED, lost_seconds=FAILOVER)
    assert findings.counts["breach_S14"] == 1
    assert "c1.m1 was stored after c1.m3" in str(findings.details)


@pytest.mark.parametrize(("again_at", "broken"), [(None, {}), (4.0, {"S1": 1, "L1": 1})])
def test_a_lost_message_that_came_again_must_end(again_at: float | None, broken: dict[str, int]) -> None:
    story = failed_over(fails=again_at is not None, again_at=again_at)
    assert story.broken(lost_seconds=FAILOVER) == broken


@pytest.mark.parametrize("promises", [PROMISES, CONFIRMED])
@pytest.mark.parametrize(("again_at", "breaches"), [(None, 0), (4.0, 1)])
def test_no_lease_is_released_and_no_death_ignored_while_it_waits_that_came_again(
    promises: Promises, again_at: float | None, breaches: int
) -> None:
    released = failed_over(again_at=again_at)
    released.take(at=5.0)
    released.release(at=6.0)
    assert released.findings(promises=promises, lost_seconds=FAILOVER).counts["breach_S10"] == breaches
    dead = failed_over(again_at=again_at)
    dead.accept("c2.m1", "w2", lease=True)
    dead.take(at=5.0)
    dead.add("w1", "host.crash", at=6.0)
    dead.gone(at=15.0)
    dead.add("customer:c2", "received", "c2", "x", at=60.0)
    assert dead.findings(promises=promises, lost_seconds=FAILOVER).counts["breach_L2"] == breaches
