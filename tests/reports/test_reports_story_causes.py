"""Goal: what a breach came from is in its story, however short that is made, and told whole.

Method: breaches of different kinds, each by a shipped scenario, a policy without one of its safeguards, or a bot that is
wrong in one way. For each a rule says which records of the world must be among those that the story tells. The rules read
the trace, and neither what found the causes nor a word of any sentence.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from relaysim.reports.story import Story, tell_story
from relaysim.reports.story_cause_kinds import CauseKind
from relaysim.reports.story_causes import PLACES_MAX
from relaysim.reports.story_lines import Line, kept_lines
from relaysim.reports.timeline import render_timeline
from relaysim.scenarios.ablations.ablation_list import BY_NAME, scenario_path
from relaysim.scenarios.breached import subject_of
from relaysim.scenarios.load import load
from relaysim.sim.backends import backend_named
from relaysim.sim.world import run_world

ROWS = 12
"""Half of what a screen has: the causes are in the story also then."""

WORLDS = Path(__file__).parents[1] / "sim" / "world"


@dataclass(frozen=True)
class Told:
    """A breach, its world, its story, and the records that the short story tells, by their places in the trace."""

    detail: Mapping[str, Any]
    records: list[Any]
    story: Story
    lines: list[Line]
    looks: tuple[str, ...]
    roles: Any

    @property
    def places(self) -> dict[int, Any]:
        return {line.order: self.records[line.order] for line in self.lines if line.order < len(self.records)}

    def of(self, kind: str) -> list[tuple[int, float, str, Any]]:
        """The told records of a kind: place, time, entity, event."""
        return [(place, time, who, event) for place, (time, who, found, event) in self.places.items() if found == kind]

    def every(self, kind: str) -> list[tuple[int, float, str, Any]]:
        """All of the trace's, told or not."""
        return [
            (place, time, who, event) for place, (time, who, found, event) in enumerate(self.records) if found == kind
        ]

    def request(self, request_id: str) -> Any:
        return next(event for _, _, _, event in self.every("request") if event.request_id == request_id)


@cache
def told(scenario: str, factory: str | None, seed: int, breach: str, sets: tuple[str, ...] = ()) -> Told:
    """The first breach of this kind in that world, and its story."""
    loaded = load(scenario, sets, factory)
    result = run_world(loaded.world_settings(), root_seed=loaded.root_seed, seed=seed, lane="direct", keep_trace=True)
    roles, looks = backend_named(loaded.api).roles, tuple(result.observation["looks"])
    detail = result.observation["details"][breach][0]
    records = list(result.records or [])
    story = tell_story(records, subject_of(detail), roles=roles, looks=looks, breach=detail)
    return Told(detail, records, story, kept_lines(story.lines, ROWS), looks, roles)


# The rules


def locks_of_different_keys(told: Told) -> bool:
    """Two handlings of the conversation took locks of different keys, and neither ever tried the other's."""
    taken = [event for _, _, _, event in told.of("redis") if event.command == "SET" and event.reply == "OK"]
    tried = {(event.delivery, event.key) for _, _, _, event in told.every("redis") if event.command == "SET"}
    return any(
        one.key != other.key
        and one.delivery != other.delivery
        and (one.delivery, other.key) not in tried
        and (other.delivery, one.key) not in tried
        for one in taken
        for other in taken
    )


def stored_with(told: Told, message_id: str) -> list[str]:
    """The requests that stored a message, by its text."""
    text = next(event.text for _, _, _, event in told.every("message.sent") if event.message_id == message_id)
    return [
        event.cause for _, _, _, event in told.every("message.stored") if event.role == "user" and text in event.text
    ]


def an_arrival_that_was_overtaken(told: Told) -> bool:
    """The message was written and had arrived; a later one was written, and is stored first."""
    message = told.detail["message"]
    sent = {event.message_id: place for place, _, _, event in told.of("message.sent")}
    arrived = [place for place, _, _, event in told.of("handling.start") if event.message_id == message]
    served = {event.request_id: place for place, _, _, event in told.of("served")}
    own = min((served[each] for each in stored_with(told, message) if each in served), default=len(told.records))
    return bool(arrived) and any(
        sent[message] < sent[later] and any(served.get(each, own) < own for each in stored_with(told, later))
        for later in sent
        if later != message and message in sent
    )


def a_lease_that_ran_out(told: Told) -> bool:
    """A holder's lease ran out, and it sent a text afterwards."""
    gone = [(place, event.worker) for place, _, _, event in told.of("lease.gone") if event.how == "expired"]
    sends = [(place, who) for place, _, who, _ in told.of("send")]
    return any(worker == who and place < later for place, worker in gone for later, who in sends)


def a_lock_that_ran_out(told: Told) -> bool:
    """A lock expired in its holder's hands, and another worker took it."""
    lost = [(place, event.key, event.worker) for place, _, _, event in told.of("lease.expired")]
    taken = [
        (place, event.key, who)
        for place, _, who, event in told.of("redis")
        if event.command == "SET" and event.reply == "OK"
    ]
    return any(
        key == again and worker != who and place < later for place, key, worker in lost for later, again, who in taken
    )


def the_text_that_is_the_breach(told: Told) -> bool:
    """The text that the judge names was sent, and stands whole in its line."""
    received = told.detail["received"]
    texts = [received] if isinstance(received, str) else received
    return any(
        event.text in texts and " ".join(event.text.split()) in line.text
        for place, _, _, event in told.of("send")
        for line in told.lines
        if line.order == place
    )


def two_texts_for_one_message(told: Told) -> bool:
    """Both texts that name the message were sent."""
    naming = [place - 1 for place, _, _, event in told.every("send.for") if told.detail["message"] in event.message_ids]
    return len({place for place, _, _, _ in told.of("send")} & set(naming)) > 1


def what_the_worker_took_meanwhile(told: Told) -> bool:
    """Between the beginning of the text's handling and the text, its worker took a message of who got it."""
    begun = {event.delivery: place for place, _, _, event in told.every("handling.start")}
    of_message = {event.message_id: event.conversation for _, _, _, event in told.every("message.sent")}
    return any(
        who == worker and begun[event.delivery] < place < sent and of_message[taken.message_id] == event.conversation
        for sent, _, who, event in told.of("send")
        for place, _, worker, taken in told.of("handling.start")
    )


def a_run_that_was_left_at_work(told: Told) -> bool:
    """The message's handling ended, and the run that it had created completed after that."""
    ended = {event.delivery: place for place, _, _, event in told.of("handling.end")}
    made = {
        event.run_id: told.request(event.cause).context
        for _, _, _, event in told.every("run.state")
        if event.state == "queued"
    }
    completed = [
        (place, made[event.run_id]) for place, _, _, event in told.of("run.state") if event.state == "completed"
    ]
    return any(by in ended and ended[by] < place for place, by in completed)


def a_reply_that_was_kept(told: Told) -> bool:
    """The handling read its messages and ended, and sent nothing."""
    ended = {event.delivery for _, _, _, event in told.of("handling.end")}
    read = {
        told.request(event.request_id).context
        for _, _, _, event in told.of("served")
        if told.request(event.request_id).operation == "messages.list"
    }
    return bool(ended & read - {event.delivery for _, _, _, event in told.every("send")})


def a_cancel_by_another(told: Told) -> bool:
    """The run was cancelled by a request of another handling than the one that had created it."""
    served = [told.request(event.request_id) for _, _, _, event in told.of("served") if event.status == 200]
    created = {event.run_id: event.cause for _, _, _, event in told.every("run.state") if event.state == "queued"}
    cancelled = {event.run_id for _, _, _, event in told.of("run.state") if event.state == "cancelled"}
    return any(
        each.run_id in cancelled and told.request(created[each.run_id]).context != each.context
        for each in served
        if each.operation.endswith(".cancel")
    )


def a_cancel_too_late(told: Told) -> bool:
    """A cancel of a run that completed nonetheless."""
    served = [told.request(event.request_id) for _, _, _, event in told.of("served")]
    completed = {event.run_id for _, _, _, event in told.of("run.state") if event.state == "completed"}
    return any(each.run_id in completed for each in served if each.operation.endswith(".cancel"))


def a_run_that_outlived_the_waits(told: Told) -> bool:
    """The last append of the message was refused while a run was active, and of that run its beginning is told."""
    message = told.detail["message"]
    refused = [
        place
        for place, _, _, event in told.every("served")
        if event.status in (400, 409)
        and (request := told.request(event.request_id)).context.startswith(f"{message}#")
        and request.operation in ("messages.create", "responses.create")
    ]
    states: dict[str, list[tuple[int, str]]] = {}
    for place, _, _, event in told.every("run.state"):
        states.setdefault(event.run_id, []).append((place, event.state))
    last = max(refused)
    active = [
        run
        for run, each in states.items()
        if each[0][0] < last and not any(place < last and state in ENDED for place, state in each)
    ]
    begun = {event.run_id for _, _, _, event in told.of("run.state")}
    made = {event.request_id for _, _, _, event in told.of("served")}
    causes = {event.run_id: event.cause for _, _, _, event in told.every("run.state") if event.state == "queued"}
    return last in told.places and any(run in begun or causes.get(run) in made for run in active)


ENDED = {"completed", "incomplete", "failed", "cancelled", "expired"}


def stored_twice(told: Told) -> bool:
    """What stored the message, each time."""
    served = {event.request_id for _, _, _, event in told.of("served")}
    times = stored_with(told, told.detail["message"])
    return len(times) > 1 and set(times[:2]) <= served


def an_answer_that_was_lost(told: Told) -> bool:
    """A request that was carried out and whose answer never came, and the same operation again."""
    lost = [event for _, _, _, event in told.of("response") if event.failure is not None or event.status == 0]
    carried = {event.request_id: place for place, _, _, event in told.of("served")}
    operations = {each: told.request(each).operation for each in carried}
    return any(
        each.request_id in carried
        and any(
            operations[other] == operations[each.request_id] and carried[other] > carried[each.request_id]
            for other in carried
        )
        for each in lost
    )


def a_crash_with_the_message(told: Told) -> bool:
    """The worker had the message and lost its power."""
    had = [
        (place, who)
        for kind in ("handling.start", "handling.end")
        for place, _, who, event in told.of(kind)
        if event.delivery.startswith(f"{told.detail['message']}#")
    ]
    return any(who == dead and place < crash for place, who in had for crash, _, dead, _ in told.of("host.crash"))


def a_failover_after_acceptance(told: Told) -> bool:
    """The message was accepted, and then something befell Redis."""
    accepted = [
        place
        for place, _, _, event in told.of("handling.end")
        if event.error_class is None and event.delivery.startswith(f"{told.detail['message']}#")
    ]
    return any(place < fault for place in accepted for fault, _, _, _ in told.of("redis.fault"))


def a_foreign_thread(told: Told) -> bool:
    """What stored a customer's message in the thread of another one."""
    served = {event.request_id for _, _, _, event in told.of("served")}
    message = told.detail["message"]
    return any(event.message_id == message for _, _, _, event in told.of("message.sent")) and bool(
        served & set(stored_with(told, message))
    )


def delivered_again(told: Told) -> bool:
    """The second delivery."""
    return any(
        event.message_id == told.detail["message"] and event.delivery_number > 1
        for _, _, _, event in told.of("handling.start")
    )


def a_release_while_a_run_was_under_way(told: Told) -> bool:
    """The lease was released before the run ended."""
    ended = [
        place
        for place, _, _, event in told.every("run.state")
        if event.run_id == told.detail["run"] and event.state in ENDED
    ]
    last = min(ended, default=len(told.records))
    return any(place < last for place, _, _, _ in told.of("lease.released"))


def a_text_of_unknown_fate(told: Told) -> bool:
    """A text of whose fate nothing was known."""
    unknown = {place - 2 for place, _, _, event in told.every("send.fate") if event.fate.startswith("unknown")}
    return bool(unknown & {place for place, _, _, _ in told.of("send")})


def an_exception_with_its_way(told: Told) -> bool:
    """An exception's line has file, line and the way there, the relay's own innermost step first."""
    raised = [
        (place, event)
        for kind in ("exception", "handling.end")
        for place, _, _, event in told.of(kind)
        if event.traceback
    ]
    return any(
        line.order == place and line.traceback[0].startswith(f"{event.place} in ") and event.place in line.text
        for place, event in raised
        for line in told.lines
    )


def two_texts_and_what_was_lost_between(told: Told) -> bool:
    """Both texts that name the message, and between them what befell Redis."""
    naming = {place - 1 for place, _, _, event in told.every("send.for") if told.detail["message"] in event.message_ids}
    sends = sorted(naming & {place for place, _, _, _ in told.of("send")})
    faults = [place for place, _, _, _ in told.of("redis.fault")]
    return len(sends) > 1 and any(sends[0] < place < sends[-1] for place in faults)


def a_step_without_its_lease(told: Told) -> bool:
    """The lease had gone, and its holder asked the API for something."""
    gone = [(place, event.worker) for place, _, _, event in told.of("lease.gone")]
    sent_by = {event.request_id: who for _, _, who, event in told.every("request")}
    steps = [(place, sent_by[event.request_id]) for place, _, _, event in told.of("served")]
    return any(place < later and worker == who for place, worker in gone for later, who in steps)


def _done_by(told: Told, worker: str) -> list[tuple[int, str | None, str]]:
    """What a worker did: place, thread or None for a text, conversation of a text."""
    sent = {event.request_id: (who, event.thread_id) for _, _, who, event in told.every("request")}
    done: list[tuple[int, str | None, str]] = [
        (place, sent[event.request_id][1], "")
        for place, _, _, event in told.every("served")
        if sent.get(event.request_id, ("", None))[0] == worker
    ]
    done += [(place, None, event.conversation) for place, _, who, event in told.every("send") if who == worker]
    return sorted(done, key=lambda each: each[0])


def _lease_in_question(told: Told) -> int:
    """The place at which the lease was taken that the judge names."""
    return next(
        place
        for place, time, _, event in told.every("lease.taken")
        if (time, event.worker, event.conversation)
        == (told.detail["at"], told.detail["worker"], told.detail["conversation"])
    )


def a_lease_while_messages_came(told: Told) -> bool:
    """The lease's taking, a message that was accepted under it, and then the first thing that its holder did."""
    taken = _lease_in_question(told)
    first = next(place for place, _, _ in _done_by(told, told.detail["worker"]) if place > taken)
    own = {
        event.message_id
        for _, _, _, event in told.every("message.sent")
        if event.conversation == told.detail["conversation"]
    }
    came = [place for place, _, _, event in told.of("handling.end") if event.delivery.rpartition("#")[0] in own]
    return {taken, first} <= set(told.places) and any(taken < place < first for place in came)


def a_lease_while_others_were_served(told: Told) -> bool:
    """The lease's taking, something that its holder then did for another conversation, and a later one for this."""
    taken = _lease_in_question(told)
    bound = {each: owner for each, owner in told.story.threads.items() if owner}
    done = [
        (place, bound.get(thread or "", "") or conversation)
        for place, thread, conversation in _done_by(told, told.detail["worker"])
        if place > taken
    ]
    own = next(place for place, whose in done if whose == told.detail["conversation"])
    others = [place for place, whose in done if whose not in ("", told.detail["conversation"]) and place < own]
    return {taken, own} <= set(told.places) and bool(set(others) & set(told.places))


def _told_repetitions(told: Told) -> list[float]:
    """Waits, in seconds, of requests that are told, after failures of the same that are told too."""
    waits = []
    answered = {event.request_id: (time, event.status) for _, time, _, event in told.every("response")}
    for place, time, who, event in told.of("request"):
        before = [
            earlier
            for at, _, other, earlier in told.every("request")
            if at < place
            and (other, earlier.operation, earlier.thread_id, earlier.run_id)
            == (who, event.operation, event.thread_id, event.run_id)
        ]
        failed = before[-1].request_id
        when, status = answered[failed]
        shown = {each.request_id for kind in ("served", "response") for _, _, _, each in told.of(kind)}
        if (status == 0 or status >= 400) and failed in shown:
            waits.append(time - when)
    return waits


def equal_waits(told: Told) -> bool:
    """Three repetitions after exactly the same wait, each with the failure before it."""
    waits = _told_repetitions(told)
    return len(waits) == 3 and len(set(waits)) == 1


def repetitions_of_one_worker(told: Told) -> bool:
    """The repetition that was one too many, and others before it, each with the failure before it."""
    last = [
        place for place, time, who, _ in told.of("request") if (time, who) == (told.detail["at"], told.detail["worker"])
    ]
    return len(_told_repetitions(told)) >= 3 and bool(last)


def asked_twice_in_vain(told: Told) -> bool:
    """Both requests for the lease that got nothing, the second one at the instant that the judge names."""
    asked = [
        (time, who)
        for _, time, who, event in told.of("redis")
        if event.reply == 0 and event.key.endswith(f":{told.detail['conversation']}")
    ]
    return len(asked) == 2 and asked[-1] == (told.detail["at"], told.detail["worker"])


def a_lock_that_another_deleted(told: Told) -> bool:
    """A lock went by a command of another handling than the one that had taken it."""
    taken = [
        (place, event.key, event.delivery)
        for place, _, _, event in told.of("redis")
        if event.command == "SET" and event.reply == "OK"
    ]
    deleted = [(place, event.key, event.delivery) for place, _, _, event in told.of("redis") if event.command == "DEL"]
    return any(
        key == gone and holder != who and place < later for place, key, holder in taken for later, gone, who in deleted
    )


def a_lock_that_a_server_lost(told: Told) -> bool:
    """Something befell Redis, and at that moment it no longer had a lease or lock that somebody held."""
    lost = [
        (place, time)
        for kind in ("lease.gone", "lock.lost")
        for place, time, _, event in told.of(kind)
        if getattr(event, "how", "lost") == "lost"
    ]
    faults = [(place, time) for place, time, _, _ in told.every("redis.fault")]
    return any(fault < place and struck <= time for place, time in lost for fault, struck in faults)


def a_step_that_is_the_breach(told: Told) -> bool:
    """The request that made the run in question."""
    causes = {event.run_id: event.cause for _, _, _, event in told.every("run.state") if event.state == "queued"}
    return causes.get(told.detail["run"]) in {event.request_id for _, _, _, event in told.of("served")}


def a_run_that_failed(told: Told) -> bool:
    """A run of the conversation ended without an answer, before the text or after what the customer waited for."""
    failed = [
        event.run_id for _, _, _, event in told.of("run.state") if event.state in ("failed", "expired", "incomplete")
    ]
    own = {
        event.run_id
        for _, _, _, event in told.every("run.state")
        if event.state == "queued" and told.request(event.cause).context.startswith(f"{told.detail['conversation']}.")
    }
    return bool(own & set(failed))


def a_run_in_the_way(told: Told) -> bool:
    """The message was written while or before a run was active that was there until after its time."""
    (written,) = [
        time for _, time, _, event in told.of("message.sent") if event.message_id == told.detail["message"]
    ] or [None]
    begun = {event.request_id: time for _, time, _, event in told.of("served")}
    made = {
        event.run_id: begun[event.cause]
        for _, _, _, event in told.every("run.state")
        if event.state == "queued" and event.cause in begun
    }
    ended = {event.run_id: time for _, time, _, event in told.every("run.state") if event.state in ENDED}
    return written is not None and any(ended.get(run, float("inf")) > written for run in made)


def a_loop_that_stood_still(told: Told) -> bool:
    """The line that held up the loop of the message's worker, which stands in the story."""
    workers = {who for _, _, who, event in told.every("handling.start") if event.message_id == told.detail["message"]}
    return any(
        who in workers and event.place in line.text
        for place, _, who, event in told.of("loop.blocked")
        for line in told.lines
        if line.order == place
    )


def a_task_that_was_cancelled(told: Told) -> bool:
    """A task of the message's handling was cut off, with the line that did so."""
    return any(
        event.delivery.startswith(f"{told.detail['message']}#") and event.by_place in line.text
        for place, _, _, event in told.of("task.cancelled")
        for line in told.lines
        if line.order == place
    )


def two_handlings_at_once(told: Told) -> bool:
    """Two messages of the conversation are taken up, the later one before the earlier one has ended, without a lock."""
    taken = sorted((place, event.delivery) for place, _, _, event in told.of("handling.start"))
    ends = {event.delivery: place for place, _, _, event in told.every("handling.end")}
    is_locked = any(event.command == "SET" for _, _, _, event in told.every("redis"))
    return not is_locked and any(
        one != other and first < second < ends.get(one, len(told.records))
        for first, one in taken
        for second, other in taken
    )


def runs_for_one_message(told: Told) -> bool:
    """Two creations of runs in one handling of the message."""
    created = [told.request(event.request_id) for _, _, _, event in told.of("served") if event.status == 200]
    own = [each for each in created if each.operation == "runs.create"]
    return len([each for each in own if each.context.startswith(f"{told.detail['message']}#")]) > 1


def accepted_and_left(told: Told) -> bool:
    """The message was written and accepted, and its worker asked for nothing on its behalf, ever."""
    message = told.detail["message"]
    written = [place for place, _, _, event in told.of("message.sent") if event.message_id == message]
    accepted = [
        place
        for place, _, _, event in told.of("handling.end")
        if event.delivery.startswith(f"{message}#") and event.error_class is None
    ]
    asked = [event for _, _, _, event in told.every("request") if event.context.startswith(f"{message}#")]
    return bool(written) and bool(accepted) and not asked


@dataclass(frozen=True)
class Case:
    """A world with a breach, and which cause its story must hold."""

    scenario: str
    breach: str
    kind: CauseKind
    rule: Callable[[Told], bool]
    factory: str | None = None
    seed: int = 0
    sets: tuple[str, ...] = ()

    @property
    def told(self) -> Told:
        return told(self.scenario, self.factory, self.seed, self.breach, self.sets)


def ablated(name: str, breach: str, kind: CauseKind, rule: Callable[[Told], bool]) -> Case:
    """The shipped policy without one safeguard, in its scenario."""
    sets = (f"relay.factory={BY_NAME[name].factory}",)
    return Case(scenario_path(BY_NAME[name].scenario), breach, kind, rule, sets=sets)


CASES = {
    "a lock key that differs": Case("race", "failed", CauseKind.DIFFERENT_LOCKS, locks_of_different_keys),
    "a run that another cancelled": Case("race", "apology_despite_cover", CauseKind.CANCELLED, a_cancel_by_another),
    "an arrival that was overtaken": Case(
        "rapid_pair", "breach_S14", CauseKind.OVERTAKEN, an_arrival_that_was_overtaken
    ),
    "a run that outlived the waits": Case(
        "persistent_failure", "friendly_failure", CauseKind.OUTLIVED_WAITS, a_run_that_outlived_the_waits
    ),
    "a turn that outlived the waits": Case(
        "responses_stuck_turn", "friendly_failure", CauseKind.OUTLIVED_WAITS, a_run_that_outlived_the_waits
    ),
    "a cancel that came too late": Case(
        "responses_racing_cancel", "breach_S13", CauseKind.CANCEL_TOO_LATE, a_cancel_too_late, seed=1
    ),
    "a lease that ran out": ablated("no_fencing", "breach_S2", CauseKind.LOCK_RAN_OUT, a_lease_that_ran_out),
    "two texts": ablated("send_both", "breach_S2", CauseKind.BREACHING_SEND, two_texts_for_one_message),
    "a text with insides": ablated(
        "errors_in_replies", "breach_S15", CauseKind.BREACHING_SEND, the_text_that_is_the_breach
    ),
    "stored twice": ablated("append_twice", "breach_S13", CauseKind.STORED_TWICE, stored_twice),
    "an answer that was lost": ablated("blind_retry", "breach_S9", CauseKind.ANSWER_LOST, an_answer_that_was_lost),
    "a crash after the acknowledgement": ablated(
        "acknowledge_first", "breach_S1", CauseKind.CRASH, a_crash_with_the_message
    ),
    "a failover": ablated("no_confirmation", "breach_S1", CauseKind.REDIS_FAULT, a_failover_after_acceptance),
    "a lock that ran out": Case(
        "race", "lost", CauseKind.LOCK_RAN_OUT, a_lock_that_ran_out, "background_bots:consumer"
    ),
    "another one's thread": ablated("one_thread_for_all", "breach_S12", CauseKind.FOREIGN_THREAD, a_foreign_thread),
    "delivered again": ablated("no_dedup", "breach_S2", CauseKind.DELIVERED_AGAIN, delivered_again),
    "released too early": ablated(
        "forget_the_run", "breach_S8", CauseKind.RELEASED_EARLY, a_release_while_a_run_was_under_way
    ),
    "an unknown fate": ablated("repeat_unknown_send", "breach_S2", CauseKind.SEND_UNKNOWN, a_text_of_unknown_fate),
    "what a failover took back": Case(
        "drain_failover", "residue_lost_writes", CauseKind.REDIS_FAULT, two_texts_and_what_was_lost_between, seed=4
    ),
    "what was sent before a failover": Case(
        "drain_failover", "residue_lost_writes", CauseKind.BREACHING_SEND, two_texts_and_what_was_lost_between, seed=4
    ),
    "a lease that a failover lost": Case(
        "drain_failover", "residue_lost_lease", CauseKind.WITHOUT_LEASE, a_step_without_its_lease, seed=3
    ),
    "stored twice after a failover": Case(
        "drain_failover", "residue_stored_twice", CauseKind.STORED_TWICE, stored_twice, seed=12
    ),
    "a run that its worker could not know of": Case(
        "drain_responses",
        "residue_orphan_run",
        CauseKind.RELEASED_EARLY,
        a_release_while_a_run_was_under_way,
        seed=15,
    ),
    "a burst without an end": ablated("uncapped_burst", "breach_L3", CauseKind.IDLE_LEASE, a_lease_while_messages_came),
    "what came meanwhile": ablated(
        "uncapped_burst", "breach_L3", CauseKind.CAME_MEANWHILE, a_lease_while_messages_came
    ),
    "one conversation at a time": ablated(
        "one_conversation_at_a_time", "breach_L4", CauseKind.SERVED_OTHERS, a_lease_while_others_were_served
    ),
    "waits that are equal": ablated("no_jitter", "breach_L5", CauseKind.REPEATED, equal_waits),
    "repetitions beyond the budget": ablated("no_budget", "breach_L5", CauseKind.REPEATED, repetitions_of_one_worker),
    "asked for in vain": ablated("due_for_ever", "breach_L6", CauseKind.ASKED_IN_VAIN, asked_twice_in_vain),
    "an exception in a task": Case(
        "race", "lost", CauseKind.EXCEPTION, an_exception_with_its_way, "exception_bots:early"
    ),
    "a lock that another deleted": Case(
        "race", "lost", CauseKind.LOCK_DELETED, a_lock_that_another_deleted, "cause_bots:Deleting"
    ),
    "a lease that the server lost": Case(
        "drain_failover", "residue_lost_writes", CauseKind.LOCK_LOST, a_lock_that_a_server_lost, seed=1
    ),
    "a run without the lease": ablated(
        "create_without_lease", "breach_S4", CauseKind.BREACHING_STEP, a_step_that_is_the_breach
    ),
    "a run that failed": Case(
        "race",
        "failed",
        CauseKind.RUN_FAILED,
        a_run_that_failed,
        "cause_bots:Asking",
        sets=("profile_overrides.failure_probability=1.0", "workload.messages=[{at_seconds=0.0}]", "schedule=[]"),
    ),
    "a run in the way": ablated("no_sweeper", "breach_L1", CauseKind.RUN_IN_THE_WAY, a_run_in_the_way),
    "a loop that stood still": Case(
        "race", "lost", CauseKind.LOOP_BLOCKED, a_loop_that_stood_still, "cause_bots:Sleeping"
    ),
    "a task that was cancelled": Case(
        "race",
        "lost",
        CauseKind.TASK_CANCELLED,
        a_task_that_was_cancelled,
        "cause_bots:Dropping",
        sets=("workers=[{count=1}]",),
    ),
    "two at once": Case("race", "lost", CauseKind.AT_ONCE, two_handlings_at_once, "cause_bots:Asking"),
    "runs for one message": Case(
        "race",
        "breach_L5",
        CauseKind.RUNS_AGAIN,
        runs_for_one_message,
        "cause_bots:AskingTwice",
        sets=(
            "workload.messages=[{at_seconds=0.0}]",
            "schedule=[]",
        ),
    ),
    "another's message meanwhile": Case(
        "rapid_pair",
        "wrong_conversation",
        CauseKind.TAKEN_MEANWHILE,
        what_the_worker_took_meanwhile,
        "cause_bots:Confusing",
        sets=("workers=[{count=1}]",),
    ),
    "a run left at work": Case("race", "lost", CauseKind.LEFT_AT_WORK, a_run_that_was_left_at_work, "cause_bots:Hasty"),
    "a reply that was kept": Case("race", "lost", CauseKind.REPLY_KEPT, a_reply_that_was_kept, "cause_bots:Swallowing"),
    "never taken up": Case("race", "lost", CauseKind.NEVER_TAKEN_UP, accepted_and_left, "cause_bots:Forgetting"),
    "an exception of handle": Case(
        "race", "lost", CauseKind.EXCEPTION, an_exception_with_its_way, "cause_bots:raising"
    ),
}


@pytest.fixture(scope="module", autouse=True)
def bots() -> Any:
    """Bots of the tests are imported by their names."""
    sys.path[:0] = [str(WORLDS), str(Path(__file__).parent)]
    yield
    del sys.path[:2]


@pytest.mark.parametrize("name", CASES)
def test_the_cause_is_in_the_story(name: str) -> None:
    case = CASES[name]
    assert case.rule(case.told), "\n".join(f"{line.order} {line.text}" for line in case.told.lines)


@pytest.mark.parametrize("name", CASES)
def test_it_is_known_as_what_it_is(name: str) -> None:
    story = CASES[name].told.story
    assert CASES[name].kind in {each.kind for each in story.causes}
    assert len({place for each in story.causes for place in each.places}) <= PLACES_MAX


@pytest.mark.parametrize("name", CASES)
def test_nothing_of_it_is_cut_off_in_a_screenful(name: str) -> None:
    case = CASES[name].told
    rows = render_timeline(
        case.records, 100, subject_of(case.detail), roles=case.roles, looks=case.looks, breach=case.detail
    )
    assert len(rows) <= 25
    shown = " ".join(" ".join(row.split()) for row in rows)
    bare = render_timeline(
        case.records, 10_000, subject_of(case.detail), roles=case.roles, looks=case.looks, breach=case.detail
    )
    whole = {(row[:9], row[9:].split(maxsplit=2)[-1]) for row in bare}
    for line in case.story.lines:
        if line.causes:
            (text,) = {text for time, text in whole if time == f"{line.time:9.3f}" and line.text[-20:] in text} or {""}
            last = " ".join(text.split())[-40:]
            assert last in shown, f"{line.text!r} is cut in\n" + "\n".join(rows)


def test_every_kind_of_cause_has_a_case() -> None:
    assert {case.kind for case in CASES.values()} == set(CauseKind)


def test_ten_kinds_of_breaches_and_more() -> None:
    assert len({case.breach for case in CASES.values()}) >= 10


def test_without_a_breach_there_is_no_cause() -> None:
    case = CASES["a lock key that differs"].told
    assert not tell_story(case.records, roles=case.roles).causes


def test_locks_that_both_ask_for_are_no_cause() -> None:
    """With one key for all, what else each handling locks for itself is no difference that matters."""
    one = told("peak_hour_one_key", None, 0, "out_of_order")
    assert CauseKind.DIFFERENT_LOCKS not in {each.kind for each in one.story.causes}
