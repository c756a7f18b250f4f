"""S1, S2, S3 and S11: how messages end, and which texts end them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf
from typing import NamedTuple

from relaysim.sim.trace.subjects import Message, Text
from relaysim.sim.world.judge.disturbances import Disturbances
from relaysim.sim.world.judge.findings import Findings, at
from relaysim.sim.world.judge.history import History
from relaysim.sim.world.judge.judge_settings import JudgeSettings
from relaysim.sim.world.judge.world_facts import WorldFacts

_REPLIES = ("answered", "covered")
_APOLOGIES = ("friendly_apology", "generic_apology")


def check_endings(
    history: History,
    ledger: Mapping[str, str | None],
    settings: JudgeSettings,
    disturbances: Disturbances,
    facts: WorldFacts,
    findings: Findings,
) -> None:
    """S1: every accepted message has ended as the ledger says, by exactly one text (or, if `unknown`, at most one).

    A reply must be by a run that covers the message; a text of unknown fate ends a message as `unknown` and as nothing else.
    `unknown` needs a cause: a send of unknown fate, one that took longer than the relay waits, or a crash, pause, lost lease
    or Redis fault that hit a holder of the conversation's lease. If its every text was refused, and its holder has not said
    since (by its step `begin_send`) that it is about to send another, the cause must have come before it could note that.

    Would miss: an `unknown` for which there was such a cause, but another one was at work; an ending that the ledger
    records differently at different times; what the ledger says of messages that were never accepted.
    """
    for message in history.messages.values():
        if message.accepted is None:
            continue
        findings.check("S1")
        wrong = _wrong_ending(history, message, ledger.get(message.id), settings, disturbances, facts, findings)
        if wrong is None:
            continue
        about = {"message": message.id, "conversation": message.conversation}
        if _may_be_lost(message, settings, disturbances):
            findings.residue("lost_writes", f"{wrong}; a failover had lost writes", **about)
        else:
            findings.breach("S1", wrong, **about)


def _wrong_ending(
    history: History,
    message: Message,
    outcome: str | None,
    settings: JudgeSettings,
    disturbances: Disturbances,
    facts: WorldFacts,
    findings: Findings,
) -> str | None:
    """What is wrong with a message's ending; None if nothing is."""
    name, conversation = message.id, message.conversation
    sends = message.reached
    if outcome is None:
        assert message.accepted is not None
        deadline = ending_deadline(message.accepted, conversation, None, settings, disturbances)
        if not_over(deadline, settings):
            findings.residue("cut_off", f"{name} had not ended when the world was cut off", message=name)
            return None
        return f"{name} was accepted at {at(message.accepted)} and has not ended"
    if outcome == "unknown":
        if len(sends) > 1:
            return f"{name} ended unknown, and {len(sends)} texts were sent for it"
        if not _may_be_unknown(history, message, sends, settings, disturbances, facts):
            return f"{name} ended unknown, and nothing kept its worker from knowing"
        findings.residue("unknown", f"{name} ended unknown", message=name, conversation=conversation)
        return None
    if outcome == "lost" and message.sends and not sends:
        findings.residue("refused", f"{name} is lost: the channel refused every text", message=name)
        return None
    if outcome not in _REPLIES and outcome not in _APOLOGIES:
        return f"{name} ended as {outcome!r}, which is no end of a message"
    if len(sends) != 1:
        return f"{name} ended {outcome}, and {len(sends) or 'no'} texts were sent for it"
    send = sends[0]
    if send.fate != "delivered":
        return f"{name} ended {outcome}, though whether its text arrived was not known"
    if outcome in _APOLOGIES:
        return None if send.run is None else f"{name} ended {outcome}, and its text was a reply"
    if send.run is None:
        return f"{name} ended {outcome}, and its text was an apology"
    if not history.covers(send.run, name):
        return f"{name} ended {outcome} by {send.run.id}, which never saw it"
    return None


def _may_be_unknown(
    history: History,
    message: Message,
    sends: list[Text],
    settings: JudgeSettings,
    disturbances: Disturbances,
    facts: WorldFacts,
) -> bool:
    """Whether something can have kept a worker from knowing what became of its text."""
    assert message.accepted is not None
    if not sends:
        stored = message.accepted if message.stored_at is None else message.stored_at
        refused = message.sends[-1] if message.sends else None
        if refused is not None and not _began_again(history, refused, settings):
            told = facts.refusals_told.get((refused.worker, refused.conversation, refused.time), inf)
            return disturbances.sender_disturbed(message.conversation, refused.time, told + settings.slack_seconds)
        return disturbances.sender_disturbed(message.conversation, stored)
    send = sends[0]
    if send.fate != "delivered":
        return True
    # A text arrives half-way through its sending.
    arrived = next(
        (
            time
            for time, text in history.received.get(message.conversation, ())
            if time >= send.time and text == send.text
        ),
        None,
    )
    if arrived is None or 2 * (arrived - send.time) >= settings.promises.send_timeout_seconds:
        return True
    return disturbances.sender_disturbed(message.conversation, send.decided)


def _began_again(history: History, refused: Text, settings: JudgeSettings) -> bool:
    """Whether, after this text was refused and before anything was ended, a holder may have noted that it is about to send
    another one."""
    lease = settings.promises.lease
    if lease is None or not lease.steps.begin_send:
        return True
    ended = next((each for each in history.ends.get(refused.conversation, ()) if each > refused.time), inf)
    return any(refused.time < each < ended for each in history.begun_sends.get(refused.conversation, ()))


def _may_be_lost(message: Message, settings: JudgeSettings, disturbances: Disturbances) -> bool:
    """Whether a failover can have taken back what the ledger knew of a message: its acceptance, or a sending of its text."""
    return disturbances.acknowledged_message_lost(message) or any(
        disturbances.acknowledged_writes_lost(send.decided, send.time + settings.promises.send_timeout_seconds)
        for send in message.reached
    )


def ending_deadline(
    accepted: float,
    conversation: str,
    outcome_at: float | None,
    settings: JudgeSettings,
    disturbances: Disturbances,
) -> float:
    """Until when a message must have ended: so long after its acceptance, or the end of the last disturbance that began
    before that. `outcome_at` only saves work: a message that ended in time needs no disturbances."""
    allowed = settings.promises.deadline_seconds
    deadline = accepted + allowed
    if outcome_at is not None and outcome_at <= deadline:
        return deadline
    for each in disturbances.of_conversation(conversation):
        if each.begin <= deadline and each.end + allowed > deadline:
            deadline = each.end + allowed
    return deadline


def not_over(deadline: float, settings: JudgeSettings) -> bool:
    """Whether the world was cut off before this deadline, or the deadline never comes."""
    limit = settings.limit_seconds
    return deadline == float("inf") or (limit is not None and deadline > limit)


def check_sent_once(history: History, disturbances: Disturbances, findings: Findings) -> None:
    """S2: no message is named by two texts that reached the channel; refused ones did not.

    Would miss: the same text sent twice, once without naming what it ends.
    """
    for message in history.messages.values():
        if not message.sends:
            continue
        findings.check("S2")
        sends = message.reached
        if len(sends) < 2:
            continue
        first, second = sends[0], sends[1]
        text = (
            f"{second.worker} sent a text for {message.id} at {at(second.time)}, for which {first.worker} had sent one at "
            f"{at(first.time)}"
        )
        facts = {"message": message.id, "conversation": message.conversation, "received": [first.text, second.text]}
        if disturbances.acknowledged_writes_lost(first.decided, second.decided):
            findings.residue("lost_writes", f"{text}; a failover had lost that", **facts)
        else:
            findings.breach("S2", text, **facts)


def check_order(history: History, disturbances: Disturbances, findings: Findings) -> None:
    """S3: of two messages, one of which was written first and surely accepted first (its `handle` had returned before the
    other's began), the later one's text does not leave before the earlier one's. Refused texts do not count, the same text
    for both is fine.

    Would miss: texts that leave in order and arrive out of order; messages handled at the same time, whose order is
    known to Redis alone; a later message that was answered while the earlier one got no text at all (S1's case).
    """
    by_conversation: dict[str, list[Message]] = {}
    for message in history.messages.values():
        if message.reached:
            by_conversation.setdefault(message.conversation, []).append(message)
    for conversation, messages in by_conversation.items():
        findings.check("S3", len({send.index for message in messages for send in message.reached}))
        if len(messages) > 1:
            _check_order_of(conversation, messages, disturbances, findings)


def _check_order_of(conversation: str, messages: list[Message], disturbances: Disturbances, findings: Findings) -> None:
    accepted = sorted((each for each in messages if each.accepted is not None), key=_acceptance)
    position, slowest = 0, None
    for message in sorted(messages, key=_first_start):
        while position < len(accepted) and _acceptance(accepted[position]) < _first_start(message):
            if slowest is None or _left(accepted[position]) > _left(slowest):
                slowest = accepted[position]
            position += 1
        if slowest is None or _left(slowest) <= _left(message):
            continue
        before = [each for each in accepted[:position] if each.sent_at < message.sent_at]
        slowest_before = max(before, key=_left, default=None)
        if slowest_before is None or _left(slowest_before) <= _left(message):
            continue
        text = (
            f"the text for {message.id} left at {at(_left(message))}, before the one for {slowest_before.id} at "
            f"{at(_left(slowest_before))}, which had been accepted first"
        )
        facts = {"message": slowest_before.id, "conversation": conversation}
        if disturbances.acknowledged_writes_lost(_acceptance(slowest_before), _left(slowest_before)):
            findings.residue("lost_writes", f"{text}; a failover had lost writes", **facts)
        else:
            findings.breach("S3", text, **facts)


def _acceptance(message: Message) -> float:
    return float("inf") if message.accepted is None else message.accepted


def _first_start(message: Message) -> float:
    return 0.0 if message.first_start is None else message.first_start


def _left(message: Message) -> float:
    """When the first text that names it left."""
    return message.reached[0].time


def check_apologies(history: History, settings: JudgeSettings, disturbances: Disturbances, findings: Findings) -> None:
    """S11: one apology per burst, and none for what a reply covers which surely left earlier.

    A second apology is wrong if it names a message that the first should have named: one accepted at most
    `apology_span_seconds` after the oldest that the first was for, and before its sender had last read its inbox. And the
    declared text for what takes too long comes neither before the oldest message that waits has waited so long, nor for one
    that was accepted by more than `apology_span_seconds` after those, while a run for those was under way that cannot have
    been meant for it.

    Would miss: two apologies for messages of one burst that were accepted while the first was being decided; apologies
    that name no message.
    """
    last_apology: dict[str, Text] = {}
    replies: dict[str, dict[str, Text]] = {}  # per conversation and thread, the one that covers most
    for send in history.sends:
        if not send.names or send.fate == "refused":
            continue
        conversation = send.conversation
        if send.run is not None:
            if send.fate == "delivered":
                of_thread = replies.setdefault(conversation, {})
                most = of_thread.get(send.run.thread)
                if most is None or most.run is None or most.run.reach < send.run.reach:
                    of_thread[send.run.thread] = send
            continue
        findings.check("S11")
        earlier = last_apology.get(conversation)
        last_apology[conversation] = send
        wrong = list(_wrong_apologies(history, settings, send, earlier, replies.get(conversation, {})))
        wrong += _early_apologies(history, settings, disturbances, send)
        if not wrong:
            continue
        facts = {"message": send.names[0], "conversation": conversation, "received": [send.text]}
        known = (each for each in wrong if not disturbances.acknowledged_writes_lost(each.begin, each.end))
        breach = next(known, None)
        if breach is None:
            findings.residue("lost_writes", f"{wrong[0].text}; a failover had lost writes", **facts)
        else:
            findings.breach("S11", breach.text, **facts)


class _WrongApology(NamedTuple):
    """What is wrong with an apology, and from when to when was written what its sender must know of that."""

    text: str
    begin: float
    end: float


def _wrong_apologies(
    history: History, settings: JudgeSettings, send: Text, earlier: Text | None, replies: Mapping[str, Text]
) -> Iterator[_WrongApology]:
    burst_ends = 0.0
    if earlier is not None:
        # The relay counts from when Redis took a message, at the earliest when its first delivery began.
        oldest = min(
            (_first_start(history.messages[each]) for each in earlier.names if each in history.messages), default=0.0
        )
        burst_ends = min(earlier.decided, oldest + settings.promises.burst.apology_span_seconds)
    for each in send.names:
        message = history.messages.get(each)
        if message is None:
            continue
        if earlier is not None and message.accepted is not None and message.accepted < burst_ends:
            text = (
                f"a second apology, at {at(send.time)}, was for {each}, which had been accepted before the one at "
                f"{at(earlier.time)}"
            )
            yield _WrongApology(text, earlier.decided, send.decided)
        for reply in replies.values():
            if reply.run is not None and history.covers(reply.run, each):
                request = reply.run.request
                begin = reply.decided if request is None else min(request.decided, reply.decided)
                text = (
                    f"an apology, at {at(send.time)}, was for {each}, which the reply sent at {at(reply.time)} covers"
                )
                yield _WrongApology(text, begin, reply.time + settings.promises.send_timeout_seconds)


_CLOCKS_SECONDS = 0.1
"""How far the relay's idea of a message's age may be from the trace's: it counts milliseconds, and asks over a network."""


def _waits_again(message: Message, settings: JudgeSettings, disturbances: Disturbances, send: Text) -> bool:
    """Whether a failover may have lost the end of a message that a text ends once more."""
    ended = message.reached[0].time
    noted = ended + settings.promises.send_timeout_seconds
    return message.id in send.names and disturbances.acknowledged_writes_lost(ended, noted, send.time)


def _early_apologies(
    history: History, settings: JudgeSettings, disturbances: Disturbances, send: Text
) -> Iterator[_WrongApology]:
    """What is wrong with an apology for what takes too long: it does not, or not all that it ends does."""
    promised = settings.promises.late_apology
    named = [history.messages[each] for each in send.names if each in history.messages]
    stored = [(each, each.stored_at) for each in named if each.stored_at is not None]
    if promised is None or send.text != promised.text or len(stored) < len(send.names) or not stored:
        return
    waiting = [
        each.stored_at
        for each in history.messages.values()
        if each.conversation == send.conversation
        and each.stored_at is not None
        and each.stored_at <= send.time
        and (
            not each.reached or each.reached[0].index >= send.index or _waits_again(each, settings, disturbances, send)
        )
    ]
    since = min(waiting, default=send.time)
    if send.time - since < promised.after_seconds - _CLOCKS_SECONDS:
        text = (
            f"an apology for what takes too long, at {at(send.time)}, was for {send.names[0]}, and nothing had waited for "
            f"longer than {at(send.time - since)}"
        )
        yield _WrongApology(text, since, send.time)
    # A relay that took a message in anew counts from then on.
    oldest = min(max((time for time in each.acceptances if time <= send.time), default=0.0) for each in named)
    young = oldest + settings.promises.burst.apology_span_seconds + _CLOCKS_SECONDS
    for message, accepted in stored:
        if accepted <= young or send.lease is None or send.lease.began >= accepted:
            continue  # an earlier holder may have meant it for the same run
        if send.time - accepted >= promised.after_seconds - _CLOCKS_SECONDS:
            continue  # it has waited for so long itself
        if disturbances.redis_disturbed(accepted, send.time) or disturbances.worker_disturbed(
            send.worker, accepted, send.time
        ):
            continue  # and so may this one, and was held up before it asked for that run
        # A run, or the way to a further thread for one: what had come by then may have gone along.
        begun = [
            request.left
            for request in history.requests.values()
            if oldest < request.left <= send.time
            and (
                (request.starts and request.conversation == send.conversation)
                or (request.operation in history.roles.opens and request.worker == send.worker)
            )
        ]
        if begun and max(begun) < accepted:
            text = (
                f"an apology for what takes too long, at {at(send.time)}, was for {message.id} too, which had been accepted "
                f"at {at(accepted)}, long after the others and after the {history.roles.words.run} for them had been created"
            )
            yield _WrongApology(text, accepted, send.time)
