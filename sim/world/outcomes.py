"""What became of each message and each sent text, counted: see the definitions in `relaysim.sim.world.observe`.

More than 400 lines, because it is one pass over the texts and the messages, with the sentence of each finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from relaysim.sim.trace.chronicle import Chronicle
from relaysim.sim.trace.subjects import Message, Run, Text
from relaysim.sim.trace.words import WHOLE_WORDS_MIN, wording
from relaysim.sim.world.conflicts import Encounter
from relaysim.sim.world.judge.catalogue import CONTENT_BREACHES, JUDGED_COUNTS
from relaysim.sim.world.judge.early_looks import crossing, decided_at, had_before
from relaysim.sim.world.judge.findings import add_named
from relaysim.sim.world.judge.written_order import is_known_later
from relaysim.sim.world.received import received_words

COUNTS: Mapping[str, str] = {
    "messages": "messages that customers sent, new tries included",
    "met_active_run": "messages whose append was refused because a run was active",
    "recovered_at_2": "of those, appended at the second attempt",
    "recovered_at_3": "of those, appended at the third attempt",
    "recovered_later": "of those, appended at a later attempt",
    "not_recovered": "of those, never appended",
    "friendly_failure": "messages for which the friendly apology was sent",
    "generic_failure": "messages for which another apology was sent",
    "failed": "messages for which an apology was sent, or which no sent reply covers",
    "succeeded": "messages that did not fail",
    "answered": "messages answered by a reply sent in their own handling",
    "covered": "messages covered by a reply sent in another handling",
    "lost": "messages that no sent reply covers",
    "apology_despite_cover": "messages with an apology although a sent reply covers them",
    "answered_but_apologised": "messages with an apology although an answer was ready and never sent",
    "wrong_conversation": "replies sent to another conversation than their thread's",
    "duplicate_reply": "replies that cover only messages which an earlier reply covered",
    "out_of_order": "replies about messages written earlier than one that was replied to before",
    "transparency_breaches": "the sum of the six kinds above, from `lost` on, and of the breaches of S12 to S15",
    "breached_messages": "messages that such a breach names, each once; breaches that name none count as one of their "
    "conversation's, unless another breach there names one",
    "late": "messages whose answer or apology came after the relay's deadline, or else the scenario's",
    "over_cost": "messages of conversations that took more requests or runs than the limits allow",
    "notices": "texts that no run wrote and that are no apologies",
    "over_notices": "of those, more than the limits allow for a message, and undeclared ones that nobody waited for",
    "undeclared_texts": "of those, texts that neither the scenario nor the relay declares and that are not customary either",
    "log_mismatch": "messages that met an active run and whose log lines are not the promised ones",
    "initial_runs_met": "runs left behind before the start that the relay met: a request was refused because of one, or "
    "looked at it or cancelled it",
    "conflicts": "appends refused because a run was active",
    "creation_conflicts": "run creations refused because a run was active",
    "runs": "runs created",
    "cancels": "cancels that the API accepted",
    "foreign_cancels": "of those, cancels of a run that another handling had created",
    "requests": "HTTP requests, the SDK's own retries included",
    "redis_commands": "Redis commands",
    "leases_lost": "locks that ran out while their holder went on; a key that nobody ever releases or extends is no lock",
    "unhandled_exceptions": "exceptions that no code received: of a task that nobody awaited, of a callback, of `serve`",
    "raised_after_answer": "handlings that raised although their answer had been sent",
    "retries_answered": "new tries after the friendly text that were answered",
    "met_and_failed": "messages that met an active run and failed",
    "clearing_requests": "HTTP requests of a handling from its first refused append to the append's success or a text",
    "clearing_milliseconds": "how long that took, from answer to answer as the relay saw them",
    **JUDGED_COUNTS,
}
"""The counts of an observation, with what each means."""

SERIES: Mapping[str, str] = {
    "wait_seconds": "per message that met an active run: how long its relay waited",
    "polite_wait_seconds": "per first try that met an active run: how long its relay waited if it then ended in the "
    "friendly text and the new try was answered; -1 otherwise",
    "reply_seconds": "per message with a reply: from sending it until the first covering reply left",
}
"""The series of an observation, in seconds."""

_BREACHES = (
    "lost",
    "apology_despite_cover",
    "answered_but_apologised",
    "wrong_conversation",
    "duplicate_reply",
    "out_of_order",
)
_DETAILS_MAX = 3
_ARRIVING: Final = ("delivered", "unknown_delivered")


class _Outcome:
    """What became of a message.

    Attributes:
        apologies: when which was sent for it.
        covered_at: when the first reply that covers it was sent.
        own: whether that reply was sent in its own handling, or names it last.
    """

    __slots__ = ("apologies", "covered_at", "message", "own")

    def __init__(self, message: Message) -> None:
        self.message = message
        self.apologies: list[tuple[float, str]] = []
        self.covered_at: float | None = None
        self.own = False

    @property
    def ended_at(self) -> float | None:
        """When the first reply or apology left; None if none has."""
        times = [time for time, _ in self.apologies]
        return min([*times, self.covered_at] if self.covered_at is not None else times, default=None)


class Outcomes:
    """What became of each message and each sent text.

    Args:
        chronicle: of the world.
        friendly_text: the friendly apology.
        settings: of the relay under test: `attempts`, and what it `cancels`.
        step: how fine the relay is told when a message was written, in seconds; 0: exactly.

    Attributes:
        counts, series: see `COUNTS` and `SERIES`.
        details: per count at most three dicts whose `text` is a sentence.
    """

    def __init__(self, chronicle: Chronicle, friendly_text: str, settings: Mapping[str, Any], step: float) -> None:
        self.counts = dict.fromkeys(COUNTS, 0)
        self.series: dict[str, list[float]] = {name: [] for name in SERIES}
        self.details: dict[str, list[dict[str, Any]]] = {}
        self._chronicle = chronicle
        self._friendly_text, self._step = friendly_text, step
        self._attempts = int(settings.get("attempts", 3))
        self._cancels_once = settings.get("cancels") == "first_conflict"
        self._messages = {each.id: _Outcome(each) for each in chronicle.messages.values()}
        self._sends: dict[str, list[Text]] = {}  # by conversation, those that reached its customer
        self._breached: dict[str, set[str]] = {}  # by conversation, the messages that breaches name
        self._about: dict[int, list[str]] = {}  # by the index of a sent reply, the messages that it is about

    def judge(self) -> None:
        """Fill counts, series and details in."""
        self._judge_sends()
        answered_retries = {each.message.retry_of for each in self._messages.values() if each.own}
        for outcome in self._messages.values():
            self._judge_message(outcome)
            self._judge_conflicts(outcome, outcome.message.id in answered_retries)
        self._count_requests()
        self._tell_exceptions()
        self.counts["transparency_breaches"] = sum(self.counts[name] for name in _BREACHES)

    def add_breaches(self, counts: Mapping[str, int], named: Mapping[str, set[str]]) -> None:
        """Add the breaches of S12 to S15, which are judged elsewhere: how many, and of whom the messages that they name."""
        self.counts["transparency_breaches"] += sum(counts[name] for name in CONTENT_BREACHES)
        for conversation, messages in named.items():
            self._breached.setdefault(conversation, set()).update(messages)
        found = sum(max(1, len(messages)) for messages in self._breached.values())
        self.counts["breached_messages"] = min(found, self.counts["messages"])

    @property
    def ended_at(self) -> dict[str, float]:
        """When the first reply or apology for each message left, once judged; messages without one are left out."""
        return {name: at for name, each in self._messages.items() if (at := each.ended_at) is not None}

    def note(self, count: str, text: str, times: int, **fields: Any) -> None:
        """Count something that was judged elsewhere, so many times, with a sentence and its facts."""
        self._note(count, text, **fields)
        self.counts[count] += times - 1

    def _note(self, count: str, text: str, **fields: Any) -> None:
        self.counts[count] += 1
        if count in _BREACHES:
            add_named(self._breached, fields)
        names = [count, "transparency_breaches"] if count in _BREACHES else [count]
        for name in names:
            notes = self.details.setdefault(name, [])
            if len(notes) < _DETAILS_MAX:
                notes.append({"text": text, "kind": count, **fields})

    def _judge_sends(self) -> None:
        chronicle, messages = self._chronicle, self._messages
        covered_before: dict[str, set[str]] = {}
        replied: dict[str, list[tuple[Message, Run]]] = {}  # the newest message, and by which run
        nobodys: list[Text] = []
        delivered: set[tuple[str, str]] = set()  # whose reply, long enough to be no chance, a conversation has read
        for sent in chronicle.sends:
            if sent.fate not in _ARRIVING:
                continue
            time, conversation, text, run = sent.time, sent.conversation, sent.text, sent.run
            self._sends.setdefault(conversation, []).append(sent)
            named = sent.names
            handling = chronicle.handlings.get(sent.delivery)
            if not named and handling is not None:
                named = (handling.message_id,)
            own = [messages[each] for each in named if each in messages]
            if run is None:
                if chronicle.kind_of(sent) == "apology":
                    for outcome in own:
                        outcome.apologies.append((time, text))
                    if not own:
                        nobodys.append(sent)
                continue
            facts = {"conversation": conversation, "run": run.id, "received": text}
            owner = chronicle.threads.get(run.thread, conversation)
            if owner != conversation:
                self._note(
                    "wrong_conversation",
                    f"{sent.worker} sent {conversation} what {run.id} had written for {owner}",
                    **facts,
                )
                continue
            again = next((each for each in sent.others if (conversation, each.id) in delivered), None)
            if again is not None:
                self._note(
                    "duplicate_reply",
                    f"{sent.worker} sent {conversation} once more what {again.id} had written, beside the words of {run.id}",
                    **facts,
                )
            if sent.fate == "delivered":
                delivered |= {
                    (conversation, each.id)
                    for each in (run, *sent.others)[sent.piece is not None :]
                    if max(len(wording(text).words) for text in each.wrote) >= WHOLE_WORDS_MIN
                }
            covered = [
                outcome
                for run in (run, *sent.others)
                for outcome in map(messages.get, chronicle.covered_by(run))
                if outcome is not None and outcome.message.conversation == conversation
            ]
            seen = covered_before.setdefault(conversation, set())
            # What a reply is about: the messages that no earlier reply covered, or else all that it covers.
            subjects = [outcome for outcome in covered if outcome.message.id not in seen] or covered
            self._about[sent.index] = [outcome.message.id for outcome in subjects]
            subject = max(subjects, key=lambda outcome: outcome.message.number, default=None)
            newest = replied.setdefault(conversation, [])
            late = None if subject is None else self._decided_without(subject.message, newest)
            if subject is not None and late is not None:
                self._note(
                    "out_of_order",
                    f"{sent.worker} sent the reply to {subject.message.id} after one to a later message{late}",
                    message=subject.message.id,
                    **facts,
                )
            elif subject is not None and subject.message.id in seen and not sent.continues:
                self._note(
                    "duplicate_reply",
                    f"{sent.worker} sent {conversation} another reply to {subject.message.id}, which had one already",
                    **facts,
                )
                self._breached[conversation].add(subject.message.id)
            if covered:
                newest.append((max((each.message for each in covered), key=lambda each: each.sent_at), run))
            for outcome in covered:
                seen.add(outcome.message.id)
                if outcome.covered_at is None:
                    outcome.covered_at = time
                    outcome.own = bool(own) and own[-1] is outcome

        self._give_out(nobodys)

    def _give_out(self, apologies: Iterable[Text]) -> None:
        """An apology that is sent outside of every handling (by a consumer, by a thread that works off a queue) is for the
        oldest message that its conversation's customer had sent and that nothing else was ever sent for. Where a reply
        covers each that the relay had by then, it is for one of those, and stands with the newest. Where there is a message
        that got apologies alone, it may be one more for that, and is none's."""
        for sent in apologies:
            had = [
                outcome
                for outcome in self._messages.values()
                if outcome.message.conversation == sent.conversation
                and outcome.message.first_start is not None
                and outcome.message.first_start <= sent.time
            ]
            subject = next((outcome for outcome in had if outcome.ended_at is None), None)
            if subject is None and had and all(outcome.covered_at is not None for outcome in had):
                subject = had[-1]
            if subject is not None:
                subject.apologies.append((sent.time, sent.text))

    def _decided_without(self, message: Message, replied: list[tuple[Message, Run]]) -> str | None:
        """How long the relay had had a message when it decided on a reply to a later one; None: it did not have it."""
        had = message.first_had
        for later, run in replied:
            if had is not None and had <= decided_at(run) and is_known_later(later, message, self._step):
                early = had_before(had, decided_at(run), run.request, "created the run for that one")
                return crossing(message, later) + early
        return None

    def _judge_message(self, outcome: _Outcome) -> None:
        counts = self.counts
        counts["messages"] += 1
        covered = outcome.covered_at is not None
        if outcome.covered_at is not None:
            counts["answered" if outcome.own else "covered"] += 1
            self.series["reply_seconds"].append(outcome.covered_at - outcome.message.sent_at)
            if outcome.message.retry_of and outcome.own:
                counts["retries_answered"] += 1
        if covered and not outcome.apologies:
            counts["succeeded"] += 1
            return
        story, facts = self._story(outcome), self._facts(outcome)
        if not covered:
            self._note("lost", story("was never answered"), **facts)
        if outcome.apologies:
            friendly = any(text == self._friendly_text for _, text in outcome.apologies)
            self._note("friendly_failure" if friendly else "generic_failure", story("ended in an apology"), **facts)
            if covered:
                self._note("apology_despite_cover", story("got an apology although it was answered"), **facts)
            elif any(self._answer_was_ready(outcome.message, time) for time, _ in outcome.apologies):
                self._note("answered_but_apologised", story("got an apology although its answer was ready"), **facts)
        self._note("failed", story("failed"), **facts)

    def _answer_was_ready(self, message: Message, time: float) -> bool:
        gone = self._chronicle.contents.lost
        for run in self._chronicle.runs.values():
            if gone.get(run.thread, time) < time:
                continue  # with all that was in it
            completed = any(state == "completed" and at <= time for at, state in run.states)
            wrote = any(at <= time for at, _ in run.messages)  # else there is nothing to send, as after a function call
            if completed and wrote and self._chronicle.covers(run, message.id):
                return True
        return False

    def _judge_conflicts(self, outcome: _Outcome, retry_answered: bool) -> None:
        message = outcome.message
        roles = self._chronicle.roles
        met = [Encounter(handling, roles) for handling in message.handlings if handling.met_active_run]
        if not met:
            return
        counts, ended = self.counts, self._chronicle.end
        counts["met_active_run"] += 1
        if outcome.apologies or outcome.covered_at is None:
            counts["met_and_failed"] += 1
        for each in met:
            refused_at = ended if each.refused_at is None else each.refused_at
            cleared_at = ended if each.cleared_at is None else each.cleared_at
            counts["clearing_requests"] += each.clearing_requests
            counts["clearing_milliseconds"] += round((cleared_at - refused_at) * 1000)
        first = met[0]
        if first.recovered_at == 0:
            counts["not_recovered"] += 1
        elif first.recovered_at <= 3:
            counts[f"recovered_at_{first.recovered_at}"] += 1
        else:
            counts["recovered_later"] += 1
        self.series["wait_seconds"].append(first.waited)
        if message.retry_of is None:
            friendly = any(text == self._friendly_text for _, text in outcome.apologies)
            self.series["polite_wait_seconds"].append(first.waited if friendly and retry_answered else -1.0)
        for each in met:
            promised, logged = each.promised(self._attempts, cancels_once=self._cancels_once), each.logged
            if logged != promised:
                missing = next((line for line in promised if line not in logged), None)
                what = f"the line {missing!r} is missing" if missing else f"unexpected lines or order: {logged!r}"
                self._note(
                    "log_mismatch",
                    f"in the log of {each.handling.delivery}, {what}",
                    message=message.id,
                    conversation=message.conversation,
                )
                break

    def _count_requests(self) -> None:
        chronicle, counts = self._chronicle, self.counts
        counts["requests"] = len(chronicle.requests)
        counts["redis_commands"] = chronicle.redis_commands
        counts["leases_lost"] = len(chronicle.locks_expired)
        left = [run for run in chronicle.runs.values() if run.request is None]
        counts["initial_runs_met"] = sum(_was_met(run, chronicle) for run in left)
        for request in chronicle.requests.values():
            counts["conflicts"] += request.appends and request.refused_by is not None
            if request.starts and not request.appends and request.refused_by is not None:
                counts["creation_conflicts"] += 1
        for run in chronicle.runs.values():
            counts["runs"] += run.states[0][1] == "queued"
            counts["cancels"] += len(run.cancels)
            counts["foreign_cancels"] += sum(
                run.request is None or cancel.delivery != run.delivery for cancel in run.cancels
            )

    def _tell_exceptions(self) -> None:
        for _, worker, event in self._chronicle.exceptions:
            handling = self._chronicle.handlings.get(event.delivery)
            of_conversation = {} if handling is None else {"conversation": handling.conversation}
            sentence = f"{worker}: {event.headline}: {event.text}"
            self._note("unhandled_exceptions", sentence, **of_conversation)

    # Stories

    def _cancelled_run(self, message: Message) -> Run | None:
        """The run that was answering this message when somebody else cancelled it."""
        deliveries = [handling.delivery for handling in message.handlings]
        for run in self._chronicle.runs.values():
            if run.cancels and run.delivery in deliveries and run.cancels[-1].delivery not in deliveries:
                return run
        return None

    def _facts(self, outcome: _Outcome) -> dict[str, Any]:
        message = outcome.message
        facts: dict[str, Any] = {
            "message": message.id,
            "conversation": message.conversation,
            "received": [text for _, text in outcome.apologies],
            "covered": outcome.covered_at is not None,
        }
        run = self._cancelled_run(message)
        if run is not None:
            cancel = run.cancels[-1]
            facts["run"] = run.id
            facts["answering"] = message.id
            facts["cancelled_by"] = cancel.delivery
            facts["cancelled_at_seconds"] = cancel.served_at
        return facts

    def _story(self, outcome: _Outcome) -> Callable[[str], str]:
        """The sentence about a message, given how it ended."""
        message = outcome.message
        run = self._cancelled_run(message)
        before, after = [], []
        if run is not None:
            canceller = self._chronicle.handlings.get(run.cancels[-1].delivery)
            worker = self._chronicle.handlings[run.delivery].worker
            who = f"{canceller.worker}, handling {canceller.message_id}," if canceller else "somebody"
            before.append(f"{worker}'s {run.id} was answering {message.id} when {who} cancelled it")
        failed = next((each for each in reversed(message.handlings) if each.error_class is not None), None)
        if failed is not None and outcome.covered_at is None:
            after.append(f"{failed.worker}'s handling of it ended with {failed.error_class}")
        if outcome.apologies or outcome.covered_at is None:
            sends = self._sends.get(message.conversation, ())
            after.append(received_words(self._chronicle, message, sends, self._about))
        return lambda ending: "; ".join((*before, f"{message.id} {ending}", *after))


def _was_met(run: Run, chronicle: Chronicle) -> bool:
    """Whether some request saw this run: was refused because of it, named it, or listed its thread's runs while it was
    active."""
    for request in chronicle.requests.values():
        if request.thread != run.thread or request.served_at is None:
            continue
        if request.refused_by is run or request.run == run.id:
            return True
        active = run.ended is None or request.served_at < run.ended
        if request.operation in chronicle.roles.lists_turns and request.served_status == 200 and active:
            return True
    return False
