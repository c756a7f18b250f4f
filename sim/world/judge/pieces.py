"""S15 of replies of several texts: those that a relay sends in pieces, and those that a run wrote as several messages: all
of it is sent, in the order in which it was written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final

from relaysim.sim.trace.subjects import Text
from relaysim.sim.trace.words import TELLING_WORDS, Piece, wording
from relaysim.sim.world.judge.findings import Findings, at
from relaysim.sim.world.judge.history import History

_CUT_OFF_MIN: Final = 1500
"""Characters: what is cut off here or later may be so for its channel, whose messages end at 1,600 (SMS), 2,000 or 4,096."""

_WHOLE_SHARE: Final = 0.9
"""By this share of its words a reply is there; the rest may be lost where words were cut in two, or amid other words."""

_LOST_WORDS_TOLD: Final = 6
"""Of words that are lost between two pieces no more are told."""

_CUT_WORDS_MAX: Final = 2
"""Words between two pieces: one that was cut in two, or a number with a sign in it."""


def check_pieces(history: History, findings: Findings) -> None:
    """S15: of a reply that is sent in pieces all are sent, and none for the first time after a later one. What lies
    behind all that was sent may be cut off where its channel's messages end.

    The order is that in which the relay calls `send`, whatever the channel then makes of it; a piece that is sent once more,
    because nobody knew what had become of it, has had its turn. Of pieces that are on their way at once, it is the order in
    which the customer got them. A word between two pieces, which neither has, was cut in two: one part ends the one, the
    other begins the next.

    Would miss: pieces of two words in another order, unless all the texts together are the reply and nothing else; a piece
    in another order whose words stand further behind too; signs that are lost where a reply is cut.
    """
    parts: dict[tuple[str, str, str], list[tuple[Text, Piece]]] = {}
    for send in history.sends:
        if send.run is not None and send.piece is not None:
            parts.setdefault((send.conversation, send.run.id, send.reply), []).append((send, send.piece))
    receipts = _receipts(history) if parts else {}
    for (conversation, run, reply), sends in parts.items():
        texts = [send.text for send, _ in sends]
        facts = {"conversation": conversation, "run": run, "received": texts}
        late = _out_of_order(reply, sends)
        if late is not None:
            findings.breach(
                "S15",
                f"{conversation} was sent, at {at(late.time)}, a piece of what {run} had written after a later piece of it",
                **facts,
            )
        overtaken = None if late is not None else _overtaken(reply, sends, receipts)
        if overtaken is not None:
            findings.breach(
                "S15",
                f"{conversation} received a piece of what {run} had written, sent at {at(overtaken.time)}, after a later "
                "piece of it: both were on their way at once",
                **facts,
            )
        is_whole = any(
            each.run is not None and each.run.id == run and each.reply == reply and each.piece is None
            for each in history.sends
            if each.conversation == conversation
        )
        count = len(wording(reply).words)
        pieces = [piece for _, piece in sends]
        said = {place for piece in (*pieces, *(cut for _, cut, _ in _cuts(pieces))) for place in range(*piece)}
        is_exact = all(wording(each.text).is_nothing_but(piece) for each, piece in sends)
        lost = None if is_whole else _lost_between(reply, sends)
        if lost is not None:
            findings.breach(
                "S15",
                f"{conversation} was sent what {run} had written in pieces, between which a part of {lost!r} is lost, at "
                f"{at(sends[0][0].time)}",
                **facts,
            )
            continue
        # What a channel's end may have cut off lies behind all that was sent.
        may_be_cut_off = max(map(len, texts)) >= _CUT_OFF_MIN
        wanted = max(piece.end for piece in pieces) if may_be_cut_off else count
        if is_whole or len(said) >= (1.0 if is_exact else _WHOLE_SHARE) * wanted:
            continue
        findings.breach(
            "S15",
            f"{conversation} was sent {len(said)} of the {count} words that {run} had written, at {at(sends[0][0].time)}",
            **facts,
        )


def check_messages(history: History, findings: Findings) -> None:
    """S15: of the messages in which a run wrote its answer, all are sent once one is.

    The answer is what it wrote since its last tool calls: what it says before them ("Let me look") may be left out. A
    message has been sent if its words stand in any text that the conversation was sent, or a piece of it does.

    Would miss: a message that was left out whose words stand in another text; a run whose answer nobody sent, which T1 sees.
    """
    sent: dict[str, list[Text]] | None = None
    for run in history.runs.values():
        if run.request is None or len(run.messages) < 2 or run.state != "completed":
            continue  # what somebody else's run wrote is nobody's to send, though its words may stand in a reply
        asked = max((time for time, state in run.states if state == "requires_action"), default=-1.0)
        answer = [text for time, text in run.messages if time > asked and wording(text).words]
        if len(answer) < 2:
            continue
        if sent is None:
            sent = {}
            for send in history.sends:
                if send.fate != "refused":
                    sent.setdefault(send.conversation, []).append(send)
        conversation = history.threads.get(run.thread, "")
        texts = sent.get(conversation, ())
        left_out = [part for part in answer if not _was_sent(part, run.id, texts)]
        if left_out and len(left_out) < len(answer):
            findings.breach(
                "S15",
                f"{conversation} was sent {len(answer) - len(left_out)} of the {len(answer)} messages in which {run.id} had "
                f"written its answer; left out was “{left_out[0]}”",
                conversation=conversation,
                run=run.id,
                received=[each.text for each in texts if each.run is run],
            )


def _was_sent(part: str, run: str, texts: Iterable[Text]) -> bool:
    return any(
        (each.run is not None and each.run.id == run and each.reply == part) or wording(each.text).holds(wording(part))
        for each in texts
    )


def _receipts(history: History) -> dict[int, float]:
    """By the place of each text in the trace, when the customer got it; of those whose fate is certain."""
    left = {conversation: list(received) for conversation, received in history.received.items()}
    found: dict[int, float] = {}
    for send in history.sends:
        if send.fate not in ("delivered", "unknown_delivered"):
            continue
        waiting = left.get(send.conversation, [])
        place = next((i for i, (time, text) in enumerate(waiting) if text == send.text and time >= send.time), None)
        if place is not None:
            time, _ = waiting.pop(place)
            if send.fate == "delivered":
                found[send.index] = time
    return found


def _overtaken(reply: str, sends: Sequence[tuple[Text, Piece]], receipts: dict[int, float]) -> Text | None:
    """The first piece that a later one overtook, since it was sent before the earlier one had arrived."""
    is_split = sum(end - first for first, end in (piece for _, piece in sends)) == len(wording(reply).words)
    for place, (send, piece) in enumerate(sends):
        got = receipts.get(send.index, -1.0)
        for other, later in sends[place + 1 :]:
            is_telling = is_split or min(piece.end - piece.first, later.end - later.first) >= TELLING_WORDS
            if is_telling and piece.end <= later.first and receipts.get(other.index, got) < got:
                return send
    return None


def _lost_between(reply: str, sends: Sequence[tuple[Text, Piece]]) -> str | None:
    """The words between two pieces that stand next to one another, if they are not there in two parts; of more words the
    first, if the two texts do not have most of them in other places, as where a relay puts a link in another form."""
    words = wording(reply).words
    texts = {piece: send.text for send, piece in sends}
    for piece, following in pairwise(sorted(texts)):
        gap = Counter(words[piece.end : following.first])
        if gap.total() > _CUT_WORDS_MAX:
            there = Counter(wording(texts[piece]).words) + Counter(wording(texts[following]).words)
            there.subtract(words[piece.first : piece.end] + words[following.first : following.end])
            if (gap - there).total() > gap.total() / 2:
                return " ".join(words[piece.end : following.first][:_LOST_WORDS_TOLD])
    for piece, cut, following in _cuts(texts):
        before, between, after = ("".join(words[first:end]) for first, end in (piece, cut, following))
        parts = ((before + between[:place], between[place:] + after) for place in range(len(between) + 1))
        if not any(_is_in(one, texts[piece]) and _is_in(two, texts[following]) for one, two in parts):
            return " ".join(words[cut.first : cut.end])
    return None


def _cuts(pieces: Iterable[Piece]) -> Iterator[tuple[Piece, Piece, Piece]]:
    """What lies between two pieces because it was cut in two, between these two."""
    for piece, following in pairwise(sorted(pieces)):
        if 0 < following.first - piece.end <= _CUT_WORDS_MAX:
            yield piece, Piece(piece.end, following.first), following


def _is_in(letters: str, text: str) -> bool:
    """Whether these letters stand in a text one after another, whatever is between its words."""
    return any(letters in reading.replace(" ", "") for reading in wording(text).readings)


def _out_of_order(reply: str, sends: Sequence[tuple[Text, Piece]]) -> Text | None:
    """The first piece of a reply that is sent for the first time after a piece which stands behind it."""
    words = wording(reply).words
    is_split = sum(end - first for first, end in (piece for _, piece in sends)) == len(words)
    before: list[Piece] = []
    for send, piece in sends:
        is_new = all(piece.end <= each.first or each.end <= piece.first for each in before)
        later = [each for each in before if piece.end <= each.first]
        if is_new and later:
            is_telling = all(each.end - each.first >= TELLING_WORDS for each in (piece, *later))
            said = words[piece.first : piece.end]
            starts = range(min(each.end for each in later), len(words) - len(said) + 1)
            if (is_telling or is_split) and not any(words[start : start + len(said)] == said for start in starts):
                return send
        before.append(piece)
    return None
