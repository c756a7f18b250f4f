"""S15 of replies that are sent in several texts: all of it, in the order in which it was written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from relaysim.sim.trace.subjects import Text
from relaysim.sim.trace.words import Piece, wording
from relaysim.sim.world.judge.findings import Findings, at
from relaysim.sim.world.judge.history import History

_CUT_OFF_MIN: Final = 1500
"""Characters: what is cut off here or later may be so for its channel, whose messages end at 1,600 (SMS), 2,000 or 4,096."""

_WHOLE_SHARE: Final = 0.9
"""By this share of its words a reply is there; the rest may be lost where words were cut in two, or amid other words."""

_TELLING_WORDS: Final = 3
"""Fewer words may stand in a reply by chance, beside the piece that they are."""


def check_pieces(history: History, findings: Findings) -> None:
    """S15: of a reply that is sent in pieces all are sent, and none for the first time after a later one. A reply may be cut
    off where its channel's messages end.

    The order is that in which the relay calls `send`, whatever the channel then makes of it; a piece that is sent once more,
    because nobody knew what had become of it, has had its turn.

    Would miss: pieces of two words in another order, unless all the texts together are the reply and nothing else; a piece
    in another order whose words stand further behind too.
    """
    parts: dict[tuple[str, str, str], list[tuple[Text, Piece]]] = {}
    for send in history.sends:
        if send.run is not None and send.piece is not None:
            parts.setdefault((send.conversation, send.run.id, send.reply), []).append((send, send.piece))
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
        is_whole = any(
            each.run is not None and each.run.id == run and each.reply == reply and each.piece is None
            for each in history.sends
            if each.conversation == conversation
        )
        count = len(wording(reply).words)
        said = {place for _, piece in sends for place in range(*piece)}
        is_exact = all(wording(each.text).is_nothing_but(piece) for each, piece in sends)
        if is_whole or len(said) >= (1.0 if is_exact else _WHOLE_SHARE) * count or max(map(len, texts)) >= _CUT_OFF_MIN:
            continue
        findings.breach(
            "S15",
            f"{conversation} was sent {len(said)} of the {count} words that {run} had written, at {at(sends[0][0].time)}",
            **facts,
        )


def _out_of_order(reply: str, sends: Sequence[tuple[Text, Piece]]) -> Text | None:
    """The first piece of a reply that is sent for the first time after a piece which stands behind it."""
    words = wording(reply).words
    is_split = sum(end - first for first, end in (piece for _, piece in sends)) == len(words)
    before: list[Piece] = []
    for send, piece in sends:
        is_new = all(piece.end <= each.first or each.end <= piece.first for each in before)
        later = [each for each in before if piece.end <= each.first]
        if is_new and later:
            is_telling = all(each.end - each.first >= _TELLING_WORDS for each in (piece, *later))
            said = words[piece.first : piece.end]
            starts = range(min(each.end for each in later), len(words) - len(said) + 1)
            if (is_telling or is_split) and not any(words[start : start + len(said)] == said for start in starts):
                return send
        before.append(piece)
    return None
