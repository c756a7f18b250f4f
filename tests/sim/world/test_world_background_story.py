"""Work outside of every handling is joined to its conversation by what the trace shows of it."""

from __future__ import annotations

import re

from world_bench import run, settings

from relaysim.reports.timeline import render_timeline
from relaysim.sim.backends.threads.operations import ROLES


def test_the_story_of_a_message_that_consumers_lost_is_whole() -> None:
    """Two messages of c1, whose runs meet because the lock is too short; c2 is another's, and another story's."""
    messages = [{"at_seconds": 1.0}, {"at_seconds": 1.1, "conversation": 2}, {"at_seconds": 2.0}]
    made = settings("background_bots:consumer", workers=3, workload={"conversations": 2, "messages": messages})
    result = run(made, lane="direct")
    assert run(made, lane="sdk").fingerprint == result.fingerprint
    counts = result.observation["counts"]
    assert (counts["leases_lost"], counts["unhandled_exceptions"]) == (2, 1)

    story = "\n".join(render_timeline(result.records, lines_max=60, roles=ROLES))
    told = [
        r"customer +sends c1\.m2",
        r"w\d c1\.m2 +puts something into jobs",
        r"! (w\d) +lock lost: lock:c1 expired while \1 is still at work",
        r"(w\d) +takes the lock lock:c1",
        r"! (w\d) +calls runs\.create: 400 .* already has an active run",
        r"! (w\d) +BadRequestError ended `serve` \(background_bots\.py:\d+\)",
        r"w\d +sends “Reply 1 to: Question \[c1\.m1\]”",
        r"customer +received “Reply 1 to",
    ]
    position = 0
    for pattern in told:
        found = re.compile(pattern).search(story, position)
        assert found is not None, f"{pattern} is not told, or not there:\n{story}"
        position = found.start()
    assert re.search(r"(w\d) +takes a job from jobs\n(?:.*\n){0,2}.*\1 +takes the lock lock:c1", story)
    assert "c1.m2, handled by" in story.splitlines()[0]
    assert "c2" not in story


def test_work_for_two_conversations_is_told_apart() -> None:
    messages = [{"at_seconds": 1.0}, {"at_seconds": 9.0, "conversation": 2}]
    made = settings("background_bots:consumer", workers=1, workload={"conversations": 2, "messages": messages})
    records = run(made).records
    first, second = ("\n".join(render_timeline(records, focus=name, roles=ROLES)) for name in ("c1", "c2"))
    for story, name, other in ((first, "c1", "c2"), (second, "c2", "c1")):
        assert other not in story
        assert story.count("takes a job from jobs") == 1
        assert f"sends “Reply 1 to: Question [{name}.m1]”" in story
