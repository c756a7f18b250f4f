"""The one joining of texts to messages: which customers' words a text holds, which run wrote a text, and what kind it is.

Everything is known from words, never from a marker in them, and a text that is sent or stored as it was written is found
without a search.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Container, Iterable, Sequence
from typing import Final, NamedTuple

from relaysim.sim.trace.own_texts import apologises, says_that_it_failed
from relaysim.sim.trace.subjects import Handling, Message, Run, Text, TextKind
from relaysim.sim.trace.words import TELLING_WORDS, Piece, wording

_CUT_WORDS_MAX: Final = 1
"""Words between two pieces that neither has whole: one that was cut in two."""

_NAME_WORDS_MAX: Final = 2
"""Words of a text besides those that are declared: whom it greets."""


class FoundMessage(NamedTuple):
    """A message whose words a text holds, and where in it they begin."""

    message: Message
    place: int


class _SentPiece(NamedTuple):
    """The piece of a reply that was sent last.

    Attributes:
        text: that was sent.
        echoes: the texts that sent it, if its words are the customer's own.
    """

    run: Run
    reply: str
    piece: Piece
    text: str
    echoes: list[Text]


class Joining:
    """Finds customers' messages and runs' replies in texts.

    Args:
        conversation_of: the conversation of a thread; None if it is not known.
        apologies: texts that are known to be apologies: the scenario's, and those that the relay declares.
        notices: texts that the relay declares to be neither answers nor apologies.
        has_seen_end: whether a worker had seen a run end.
        covered_by: the messages that a run has read, by their ids.
    """

    def __init__(
        self,
        conversation_of: Callable[[str], str | None],
        apologies: Iterable[str] = (),
        notices: Iterable[str] = (),
        has_seen_end: Callable[[str, Run], bool] = lambda worker, run: True,
        covered_by: Callable[[Run], Iterable[str]] = lambda run: (),
    ) -> None:
        self._conversation_of = conversation_of
        self._has_seen_end = has_seen_end
        self._covered_by = covered_by
        self._apologies = frozenset(apologies)
        self._notices = frozenset(notices)
        self._messages: list[Message] = []
        self._by_text: dict[str, list[Message]] = {}
        self._authors: dict[str, list[Run]] = {}
        self._last_pieces: dict[tuple[str, str | None], _SentPiece] = {}
        self._echoes: dict[int, Text] = {}

    # What customers write

    def add_message(self, message: Message) -> None:
        """A customer has written."""
        self._messages.append(message)
        self._by_text.setdefault(message.text, []).append(message)

    def messages_in(self, text: str) -> list[FoundMessage]:
        """The messages whose words a text holds whole, in the order in which it has them."""
        exact = self._by_text.get(text)
        if exact is not None:
            return [FoundMessage(exact[0], 0)]
        words = wording(text)
        places = ((each, words.find(wording(each.text))) for each in self._messages)
        found = [FoundMessage(each, place) for each, place in places if place >= 0]
        return sorted(found, key=lambda each: each.place)

    def told_apart(
        self, text: str, found: Sequence[Message], here: Container[str], stored: Container[str]
    ) -> list[Message]:
        """The messages of which a text that is stored now holds the words, where a customer had said the same before.

        Of messages of the same words it holds as many as it says them: those that its thread has not yet, of these those
        that no thread has, of these those that the relay was handed, in the order of writing: whose handling stores it
        tells nothing where one handling answers what others have left in an inbox.

        Args:
            text: that is stored.
            found: as of `messages_in`.
            here: the messages that its thread has, by their ids.
            stored: those that some thread has.
        """
        if all(len(self._by_text[each.text]) == 1 for each in found):
            return list(found)
        told: dict[str, Message] = {}
        for each in found:
            alike = [other for other in self._by_text[each.text] if other.conversation == each.conversation]
            if any(other.id in told for other in alike):
                continue
            said = 1 if text == each.text else max(1, wording(text).count(wording(each.text)))
            alike.sort(key=lambda other: (other.id in here, other.id in stored, other.first_start is None))
            told |= {other.id: other for other in alike[:said]}
        return list(told.values())

    # What runs write

    def add_reply(self, text: str, run: Run) -> None:
        """A run has written a text."""
        authors = self._authors.setdefault(text, [])
        if run not in authors:
            authors.append(run)

    def find_author(self, send: Text) -> None:
        """Tell which run wrote a text that is being sent: fills in `run`, `reply`, `piece`, `others` and `continues`.

        A piece of a reply whose words the conversation's customer had written himself shows no author: replies quote. It is
        the run's if it goes on after another piece of it, or another one goes on after it; else `settle` takes it away.
        """
        echoes: list[Text] = []
        self._recognise(send, echoes)
        if send.run is None:
            return
        if send.piece is not None and not send.others:
            for place in self._places(send):
                self._last_pieces[place] = _SentPiece(send.run, send.reply, send.piece, send.text, echoes)
        _note_sent(send)

    def settle(self, sends: Sequence[Text]) -> None:
        """Once the whole trace has been read: what only repeats the customer's words is no run's."""
        runs = {send.run.id: send.run for send in self._echoes.values() if send.run is not None}
        if not runs:
            return
        for run in runs.values():
            run.sent.clear()
        for send in sends:
            if send.index in self._echoes:
                send.run, send.reply, send.piece, send.continues, send.informed = None, "", None, False, False
            elif send.run is not None and send.run.id in runs:
                _note_sent(send)

    def _recognise(self, send: Text, echoes: list[Text]) -> None:
        text = send.text
        if text in self._authors:
            send.run, send.reply = self._author(self._authors[text], send), text
            return
        if text in self._apologies or not self._authors:
            return
        if self._goes_on(send, echoes):
            return
        words = wording(text)
        held = [each for each in self._authors if words.holds(wording(each))]
        if held:
            whole = [each for each in held if not any(_is_inside(each, other) for other in held)]
            found = [(self._author(self._authors[each], send), each) for each in whole]
            found.sort(key=lambda each: (self._is_own(each[0], send.conversation), each[0].created), reverse=True)
            send.run, send.reply = found[0]
            send.others = [run for run, _ in found[1:] if run is not send.run]
            return
        best = None
        for reply, runs in self._authors.items():
            piece = words.piece_of(wording(reply))
            if piece is None:
                continue
            run = self._author(runs, send)
            is_own = self._is_own(run, send.conversation)
            said = wording(reply).words[piece.first : piece.end]
            is_echo = len(said) >= TELLING_WORDS and self._written_by_customer(said, send.conversation) is not None
            if is_echo and not is_own:
                continue
            rank = (not is_echo, is_own, piece.end - piece.first, run.created)
            if best is None or rank > best[0]:
                best = (rank, run, reply, piece)
        if best is not None:
            rank, send.run, send.reply, send.piece = best
            if not self._follows_a_piece(send) and not rank[0]:
                self._note_echo(send, echoes)
            return
        if self.repeated_by(send) is not None:
            return
        scrambled = [(self._author(runs, send), reply) for reply, runs in self._authors.items()]
        scrambled = [each for each in scrambled if words.scrambles(wording(each[1]))]
        if scrambled:  # replies to messages that differ in a number have nearly the same words
            send.run, send.reply = max(scrambled, key=lambda each: self._is_own(each[0], send.conversation))
            send.is_scrambled = True

    def _note_echo(self, send: Text, echoes: list[Text]) -> None:
        echoes.append(send)
        self._echoes[send.index] = send

    def _clear(self, echoes: Iterable[Text]) -> None:
        for each in echoes:
            self._echoes.pop(each.index, None)

    def _follows_a_piece(self, send: Text) -> bool:
        """Whether the piece of a reply that was sent last ends where this one begins, or just before: then neither is an
        echo."""
        assert send.piece is not None
        before = [each for each in self._sent_last(send) if each.run is send.run and each.reply == send.reply]
        before = [each for each in before if 0 <= send.piece.first - each.piece.end <= _CUT_WORDS_MAX]
        for each in before:
            self._clear(each.echoes)
        return bool(before)

    def repeated_by(self, send: Text) -> Message | None:
        """The message of a text's conversation, written before it was sent, that all of the text's words are of."""
        for reading in wording(send.text).readings:
            found = self._written_by_customer(reading.split(), send.conversation, send.time)
            if found is not None:
                return found
        return None

    def _written_by_customer(
        self, words: Sequence[str], conversation: str, until: float = float("inf")
    ) -> Message | None:
        """The conversation's message in which these words stand one after another, if there is one."""
        joined = f" {' '.join(words)} "
        own = (each for each in self._messages if each.conversation == conversation and each.sent_at <= until)
        return next((each for each in own if any(joined in reading for reading in wording(each.text).readings)), None)

    def _goes_on(self, send: Text, echoes: list[Text]) -> bool:
        """Whether a text is the next piece of a reply, however short, or once more the last one that was sent.

        That is known by the words alone: after the piece that its handling sent last to this conversation, or that anybody
        sent there last, since another handling may go on where one ended.
        """
        last = self._sent_last(send)
        for is_next in (True, False):
            for run, reply, before, text, said in last:
                piece = wording(send.text).is_at(wording(reply), before.end if is_next else before.first)
                if piece is None and is_next:
                    piece = wording(send.text).goes_on_amid(before.end, wording(reply), wording(text))
                if piece is not None and (is_next or piece == before):
                    send.run, send.reply, send.piece = run, reply, piece
                    if is_next:
                        self._clear(said)
                    elif any(each.index in self._echoes for each in said):
                        echoes += said
                        self._note_echo(send, echoes)
                    return True
        return False

    @staticmethod
    def _places(send: Text) -> tuple[tuple[str, str | None], ...]:
        return (send.conversation, send.delivery), (send.conversation, None)

    def _sent_last(self, send: Text) -> list[_SentPiece]:
        """The pieces that were sent last where this text is sent."""
        return [self._last_pieces[place] for place in self._places(send) if place in self._last_pieces]

    def _is_own(self, run: Run, conversation: str) -> bool:
        return self._conversation_of(run.thread) in (conversation, None)

    def _author(self, runs: Sequence[Run], send: Text) -> Run:
        """Of runs that wrote the same text, one of the conversation's own that has not been sent, else the newest. If there
        is one whose end the sender has seen, such a one: after a thread was copied, two runs may have said the same. The one
        in the thread that was left counts for nothing then, if both have read the same message."""
        if len(runs) == 1:
            return runs[0]
        own = [each for each in runs if self._is_own(each, send.conversation)] or runs
        own = [each for each in own if self._has_seen_end(send.worker, each)] or own
        own = [each for each in own if not any(self._is_anew(other, each) for other in own)]
        return next((each for each in own if not each.sent), own[-1])

    def _is_anew(self, run: Run, other: Run) -> bool:
        """Whether a run was created after another one, in another thread, for some of the same messages."""
        is_later = run.thread != other.thread and run.created > other.created
        return is_later and not set(self._covered_by(run)).isdisjoint(self._covered_by(other))

    # What else is sent

    def kind_of(self, send: Text, handling: Handling | None) -> TextKind:
        """What a text is, once everything is known that was sent.

        An answer is known by the run that wrote its words, in whatever order; an apology by the scenario's texts and what
        the relay declares, or because it is said to end a message. Of what is left, a text that asks in words of its own to
        be excused is an apology if its handling sent no answer afterwards; one that says that something failed is one too
        if the answer was there already, since nothing was asked of the API in between. Everything else is a notice.
        """
        if send.run is not None:
            return "answer"
        if self._holds_any(send.text, self._apologies):
            return "apology"
        if self._holds_any(send.text, self._notices):
            return "notice"
        if send.names:
            return "apology"
        own = self.without_customers_words(send.text)
        if not apologises(own):
            return "notice"
        asked = None if handling is None else _asked_before_answer(handling, send)
        return "apology" if asked is None or (not asked and says_that_it_failed(own)) else "notice"

    def declares_all_of(self, text: str) -> bool:
        """Whether a text is one that the scenario or the relay declares, with a name beside it perhaps."""
        count = len(wording(text).words)
        return any(count <= len(wording(each).words) + _NAME_WORDS_MAX for each in self.declared_in(text))

    def declared_in(self, text: str) -> list[str]:
        """The texts that the scenario or the relay declares and that this one holds."""
        words = wording(text)
        return sorted(each for each in self._notices | self._apologies if words.holds(wording(each)))

    def without_customers_words(self, text: str) -> str:
        """A text without the messages that it repeats as they were written."""
        for message in self._messages:
            if message.text in text:
                text = text.replace(message.text, " ")
        return text

    @staticmethod
    def _holds_any(text: str, known: frozenset[str]) -> bool:
        return text in known or any(wording(text).holds(wording(each)) for each in known)


def _asked_before_answer(handling: Handling, send: Text) -> bool | None:
    """Whether a handling asked the API for something between a text and the answer that it sent next; None: it sent none."""
    asked = False
    for _, step, subject in handling.steps:
        if isinstance(subject, Text):
            if subject.index > send.index and subject.run is not None:
                return asked
        elif step == "request":
            asked = subject.index > send.index or asked
    return None


def _note_sent(send: Text) -> None:
    """Note with the run that wrote a text that it was sent, and with the text whether it goes on from earlier ones."""
    run = send.run
    assert run is not None
    first, end = send.piece or (0, sys.maxsize)
    before = [each for each in run.sent if each[0] == send.conversation]
    send.continues = bool(before) and all(
        reply != send.reply or end <= from_word or to_word <= first for _, reply, from_word, to_word in before
    )
    run.sent.append((send.conversation, send.reply, first, end))


def _is_inside(reply: str, other: str) -> bool:
    return len(other) > len(reply) and wording(other).holds(wording(reply))
