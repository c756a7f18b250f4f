"""The chronicle ties together what a trace tells piece by piece, whoever wrote the trace."""

from __future__ import annotations

from typing import Any

import pytest

from relaysim.sim.backends.threads.operations import ROLES
from relaysim.sim.backends.threads.states import TERMINAL
from relaysim.sim.trace import chronicle as module
from relaysim.sim.trace.chronicle import ENDED_STATES, Chronicle
from relaysim.sim.trace.reader import TraceReader
from relaysim.sim.trace.schema import SCHEMA, RunState
from relaysim.sim.trace.words import keeps_order
from relaysim.sim.world.judge import history

THREAD, RUN = "thread_1", "run_1"

RECORDS: list[tuple[float, str, str, Any]] = [
    (0.0, "customer:c1", "message.sent", ("c1.m1", "c1", "Question [c1.m1]", None)),
    (1.0, "w1", "handling.start", ("c1.m1#1", "c1.m1", 1)),
    (1.0, "redis", "lease.taken", ("c1", "w1")),
    (1.1, "w1", "request", ("w1#1", "c1.m1#1", "messages.create", THREAD, None)),
    (1.2, "api", "message.stored", (THREAD, "msg_1", "user", "w1#1", "Question [c1.m1]")),
    (1.2, "api", "served", ("w1#1", 200, None, "msg_1")),
    (1.3, "w1", "response", ("w1#1", 200, None)),
    (2.0, "w1", "request", ("w1#2", "c1.m1#1", "runs.create", THREAD, None)),
    (2.1, "api", "run.state", (RUN, THREAD, "queued", "w1#2")),
    (2.1, "api", "run.metadata", (RUN, THREAD, ("relay_epoch=7",))),
    (2.1, "api", "served", ("w1#2", 200, None, RUN)),
    (2.2, "w1", "response", ("w1#2", 200, None)),
    (3.0, "w2", "request", ("w2#1", "", "messages.create", THREAD, None)),
    (3.1, "api", "served", ("w2#1", 400, "worded otherwise", "")),
    (3.2, "w2", "response", ("w2#1", 400, None)),
    (5.0, "api", "message.stored", (THREAD, "msg_2", "assistant", RUN, "Reply 1")),
    (5.0, "api", "run.state", (RUN, THREAD, "completed", "time")),
    (6.0, "w1", "request", ("w1#3", "c1.m1#1", "runs.retrieve", THREAD, RUN)),
    (6.1, "api", "served", ("w1#3", 200, None, "completed")),
    (6.2, "w1", "response", ("w1#3", 200, None)),
    (7.0, "w1", "send", ("c1.m1#1", "c1", "Here: Reply 1")),
    (7.0, "w1", "send.for", ("c1.m1#1", "c1", ("c1.m1",))),
    (7.0, "w1", "send.fate", ("c1.m1#1", "c1", "unknown_lost")),
    (8.0, "w1", "handling.end", ("c1.m1#1", "answered", None)),
    (9.0, "redis", "lease.gone", ("c1", "w1", "lost")),
]


def read(records: list[tuple[float, str, str, Any]]) -> Chronicle:
    chronicle = Chronicle(ROLES, {THREAD: "c1"})
    chronicle.read(records)
    return chronicle


def test_a_message_knows_its_handling_and_the_text_that_ends_it() -> None:
    chronicle = read(RECORDS)
    message = chronicle.messages["c1.m1"]
    (handling,) = message.handlings
    assert (handling.worker, handling.start, handling.end, handling.outcome) == ("w1", 1.0, 8.0, "answered")
    assert (message.first_start, message.accepted, message.reached) == (1.0, 8.0, chronicle.sends)
    assert [step for _, step, _ in handling.steps] == [*("request", "served", "response") * 3, "send"]
    (sent,) = chronicle.sends
    assert (sent.run, sent.fate, sent.names) == (chronicle.runs[RUN], "unknown_lost", ("c1.m1",))
    assert (sent.informed, sent.lease) == (True, chronicle.leases["c1"][0])


def test_a_run_knows_its_request_its_states_and_what_it_covers() -> None:
    chronicle = read(RECORDS)
    run = chronicle.runs[RUN]
    assert run.request is chronicle.requests["w1#2"]
    assert run.request.run_made is run
    assert (run.states, run.ended, run.delivery) == ([(2.1, "queued"), (5.0, "completed")], 5.0, "c1.m1#1")
    assert [run.state_at(time) for time in (2.0, 2.1, 4.9, 5.0)] == ["", "queued", "queued", "completed"]
    assert run.metadata == {"relay_epoch": "7"}
    assert chronicle.covered_by(run) == ["c1.m1"]
    assert chronicle.covers(run, "c1.m1")
    assert not chronicle.covers(run, "c1.m2")


def test_a_refusal_is_known_from_the_runs_states_and_not_from_its_wording() -> None:
    requests = read(RECORDS).requests
    assert [request.conflict for request in requests.values()] == [False, False, True, False]
    refused = requests["w2#1"].refused_by
    assert refused is not None
    assert refused.id == RUN
    idle = [record for record in RECORDS if record[2] != "run.state"]
    assert not any(request.conflict for request in read(idle).requests.values())


def test_a_request_leaves_under_its_own_workers_lease_only() -> None:
    chronicle = read(RECORDS)
    (lease,) = chronicle.leases["c1"]
    assert [request.lease for request in chronicle.requests.values()] == [lease, lease, None, lease]
    assert (lease.began, lease.ended, lease.how) == (1.0, 9.0, "lost")
    assert (lease.first_action, lease.looked) == (1.1, {RUN})


def test_part_of_a_trace_is_read_as_far_as_it_goes() -> None:
    """The served API keeps the newest events only, and a trace may hold kinds that nobody here knows."""
    for first in range(len(RECORDS)):
        part = [(0.0, "tram", "tram.arrived", (6,)), *RECORDS[first:], (99.0, "tram", "tram.left", ())]
        chronicle = read(part)
        assert (chronicle.count, chronicle.end) == (len(part), 99.0)


def test_named_records_and_bare_values_are_read_alike() -> None:
    named = [(time, entity, kind, SCHEMA[kind](*fields)) for time, entity, kind, fields in RECORDS]
    assert read(named).runs[RUN].states == read(RECORDS).runs[RUN].states


def test_every_method_of_a_reader_has_a_kind() -> None:
    kinds = {"on_" + kind.replace(".", "_") for kind in SCHEMA}
    for reader in (module.Chronicle, history.History):
        assert {name for name in dir(reader) if name.startswith("on_")} <= kinds


def test_a_reader_knows_where_it_is() -> None:
    class Places(TraceReader):
        def __init__(self) -> None:
            self.seen: list[tuple[int, float, str]] = []

        def on_run_state(self, time: float, entity: str, event: RunState) -> None:
            self.seen.append((self.index, time, event.state))

    places = Places()
    places.read(RECORDS)
    assert places.seen == [(8, 2.1, "queued"), (16, 5.0, "completed")]


def test_the_ends_of_runs_are_those_of_the_table() -> None:
    assert ENDED_STATES == TERMINAL


def _talk(reply: str, *sent: str) -> Chronicle:
    """A customer writes two questions, a run answers the second one, and these texts are sent."""
    records: list[tuple[float, str, str, Any]] = [
        (0.0, "customer:c1", "message.sent", ("c1.m1", "c1", "Do you ship to Lisbon on Fridays?", None)),
        (1.0, "customer:c1", "message.sent", ("c1.m2", "c1", "Or is Monday the first day?", None)),
        (2.0, "api", "run.state", (RUN, THREAD, "queued", "w1#1")),
        (5.0, "api", "message.stored", (THREAD, "msg_2", "assistant", RUN, reply)),
        (5.0, "api", "run.state", (RUN, THREAD, "completed", "time")),
    ]
    for place, text in enumerate(sent):
        records.append((7.0 + place, "w1", "send", ("c1.m1#1", "c1", text)))
    return read(records)


def test_a_customers_own_words_are_no_piece_of_a_reply_that_quotes_them() -> None:
    question = "Or is Monday the first day?"
    reply = f"You asked: {question} It is."
    for sent in ([question], [reply, question], ["One moment, please.", question, question], [question.upper()]):
        chronicle = _talk(reply, *sent)
        last = chronicle.sends[-1]
        assert (last.run, last.piece, last.reply, last.continues) == (None, None, "", False), sent
        assert chronicle.repeated_by(last) is chronicle.messages["c1.m2"]
        assert [text for _, text, *_ in chronicle.runs[RUN].sent] == [reply] * (reply in sent)


def test_a_quotation_that_other_pieces_stand_beside_is_one_of_them() -> None:
    question = "Or is Monday the first day?"
    before = _talk(f"You asked: {question} It is.", "You asked:", question, "It is.")
    after = _talk(f"{question} Yes, it is, from May on.", question, question, "Yes, it is, from May on.")
    around = _talk(
        f"Just now you have asked: {question} So?", "Hello! Just now you have asked:", f"{question} So? Bye!"
    )
    signed = _talk(f"{question} Yes, it is, from May on.", f"{question} (1)", "Yes, it is, from May on. Yours, Ana")
    for chronicle in (before, after, around, signed):
        assert all(send.run is chronicle.runs[RUN] for send in chronicle.sends)
        assert chronicle.sends[-1].continues


def test_a_reply_that_is_the_customers_own_words_is_the_runs() -> None:
    (sent,) = _talk("Or is Monday the first day?", "Or is Monday the first day?").sends
    assert sent.run is not None


def test_words_that_were_changed_are_taken_for_the_conversations_own_reply() -> None:
    """Two customers ask the same of another order; whoever masks the numbers has mixed up nobody."""
    replies = {
        owner: f"Your order {number} leaves our house today, {number}!" for owner, number in (("c2", 77), ("c1", 88))
    }
    records: list[tuple[float, str, str, Any]] = []
    for owner, reply in replies.items():
        records += [
            (2.0, "api", "run.state", (f"run_{owner}", f"thread_{owner}", "queued", "w1#1")),
            (5.0, "api", "message.stored", (f"thread_{owner}", "msg_2", "assistant", f"run_{owner}", reply)),
        ]
    records.append((7.0, "w1", "send", ("c1.m1#1", "c1", replies["c1"].replace("88", "**"))))
    chronicle = Chronicle(ROLES, {"thread_c1": "c1", "thread_c2": "c2"})
    chronicle.read(records)
    (sent,) = chronicle.sends
    assert sent.run is chronicle.runs["run_c1"]
    assert keeps_order(sent.text, sent.reply)
    assert not keeps_order(" ".join(reversed(sent.text.split())), sent.reply)


@pytest.mark.parametrize(
    ("seen", "author"), [(("run_new",), "run_new"), (("run_old", "run_new"), "run_new"), (("run_old",), "run_old")]
)
def test_of_two_runs_that_say_the_same_for_one_message_the_one_in_the_newer_thread_wrote_what_is_sent(
    seen: tuple[str, ...], author: str
) -> None:
    """A conversation was moved while a run was at work in its thread, and was asked once more in the new one."""
    chronicle = Chronicle(ROLES, {"thread_old": "c1", "thread_new": "c1"})
    records: list[tuple[float, str, str, Any]] = [
        (0.0, "customer:c1", "message.sent", ("c1.m1", "c1", "Do you ship to Lisbon on Fridays?", None))
    ]
    for number, name in enumerate(("old", "new")):
        at, run, thread = 1.0 + number, f"run_{name}", f"thread_{name}"
        records += [
            (
                at,
                "api",
                "message.stored",
                (thread, f"msg_{name}", "user", f"w1#{number}", "Do you ship to Lisbon on Fridays?"),
            ),
            (at, "api", "run.state", (run, thread, "queued", f"w1#{number}")),
            (at + 3.0, "api", "message.stored", (thread, f"reply_{name}", "assistant", run, "Yes, and on Mondays.")),
            (at + 3.0, "api", "run.state", (run, thread, "completed", "time")),
        ]
    for number, run in enumerate(seen):
        request, thread = f"w1#{number + 7}", run.replace("run", "thread")
        records += [
            (7.0, "w1", "request", (request, "", "runs.retrieve", thread, run)),
            (7.1, "api", "served", (request, 200, None, "completed")),
            (7.2, "w1", "response", (request, 200, None)),
        ]
    records.append((8.0, "w1", "send", ("", "c1", "Yes, and on Mondays.")))
    chronicle.read(sorted(records, key=lambda each: each[0]))
    (send,) = chronicle.sends
    assert send.run is not None
    assert send.run.id == author
