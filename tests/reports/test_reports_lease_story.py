"""The story of a message under a relay with leases: who had its conversation, and which text ended it."""

from __future__ import annotations

from typing import Any

import pytest

from relaysim.reports.timeline import Record, render_timeline
from relaysim.sim.backends.threads.operations import ROLES

THREAD, RUN = "thread_AAAA1111", "run_BBBB2222"
APOLOGY = "Desculpe, estou processando sua mensagem anterior."


def story(*, text: str = "Reply 1") -> list[Record]:
    return [
        (0.0, "customer:c1", "message.sent", ("c1.m1", "c1", "Question", None)),
        (0.0, "customer:c2", "message.sent", ("c2.m1", "c2", "Another", None)),
        (0.1, "w1", "handling.start", ("c1.m1#1", "c1.m1", 1)),
        (0.1, "redis", "lease.taken", ("c1", "w1")),
        (0.1, "w1", "handling.end", ("c1.m1#1", None, None)),
        (0.6, "w1", "request", ("w1#1", "c1.m1#1", "runs.create", THREAD, None)),
        (0.8, "api", "run.state", (RUN, THREAD, "queued", "w1#1")),
        (0.8, "api", "served", ("w1#1", 200, None, RUN)),
        (2.0, "w1", "host.crash", ()),
        (2.0, "w3", "host.crash", ()),
        (10.1, "redis", "lease.gone", ("c1", "w1", "expired")),
        (12.0, "redis", "lease.taken", ("c1", "w2")),
        (12.5, "w2", "redis", ("", "take_over", "relay:lease:c1", 1)),
        (13.0, "w2", "log", ("c1.m1#1", "INFO", '{"event": "accepted"}')),
        (29.0, "api", "message.stored", (THREAD, "msg_1", "assistant", RUN, "Reply 1")),
        (30.0, "w2", "send", ("", "c1", text)),
        (30.0, "w2", "send.for", ("", "c1", ("c1.m1",))),
        (30.0, "w2", "send.fate", ("", "c1", "unknown_lost")),
        (90.0, "redis", "lease.released", ("c1", "w2")),
    ]


def told(records: list[Record], **options: Any) -> str:
    return "\n".join(render_timeline(records, roles=ROLES, **options))


def test_it_follows_the_conversation_from_worker_to_worker() -> None:
    text = told(story(text=APOLOGY), focus="c1")
    for said in (
        "w1        takes the lease of c1",
        "w1        accepted c1.m1",
        "! w1        loses its power",
        "! w1        its lease is gone: expired",
        "w2        takes the lease of c1",
        "takes its run's messages over",
        "which ends c1.m1",
        "the text is lost",
    ):
        assert said in text


def test_it_leaves_out_other_conversations_other_workers_and_what_the_relay_says_of_itself() -> None:
    text = told(story(), focus="c1")
    for unsaid in ("c2", "w3", '"event"', "lock"):
        assert unsaid not in text


def test_it_ends_shortly_after_the_text_that_ended_the_message() -> None:
    assert "releases the lease" not in told(story(), focus="c1")


def test_without_a_focus_it_tells_of_the_first_message_that_ended_badly() -> None:
    assert "conversation c2" in told(story()).splitlines()[0]  # which got no text at all
    assert "conversation c1" in told(story(text=APOLOGY)[:1] + story(text=APOLOGY)[2:]).splitlines()[0]


def test_a_focus_that_is_not_there_is_refused_with_those_that_are() -> None:
    assert "c1.m1" in told(story(), focus="c1.m1#1").splitlines()[0]
    with pytest.raises(ValueError, match=r"'c7'.*conversations: c1, c2"):
        render_timeline(story(), focus="c7", roles=ROLES)
