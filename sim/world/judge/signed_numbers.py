"""S15: numbers of a reply keep the signs that say what they are: a minus, a currency, a percent."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final, NamedTuple

from relaysim.sim.trace.subjects import Text
from relaysim.sim.trace.words import wording

_NUMBER: Final = re.compile(r"(?<![\w.,])\d+(?:[.,:]\d+)*(?!\w)")
_MINUSES: Final = "-−–"
_SHARES: Final = "%‰"
_SHARE_WORD: Final = re.compile(r"\s?(?:per|pro|por|pour|pct|p\.)", re.IGNORECASE)
_SPACES: Final = "\u00a0\u202f "  # those that may stand between a number and its sign

_PIECE_DIGITS_MIN: Final = 2
"""Of a piece, shorter numbers are not compared: they may count pieces."""


class _Signed(NamedTuple):
    """A number in a text: its digits, the signs at it, and how it stands there."""

    digits: str
    minus: bool
    currency: str
    share: str
    shown: str

    def may_be(self, other: _Signed) -> bool:
        """Whether this one, which was sent, says what the other one said. A currency and a share may be
        written as words instead."""
        same_share = self.share == other.share or "word" in (self.share, other.share)
        return self.minus == other.minus and self.currency in ("", other.currency) and same_share


@lru_cache(maxsize=4096)
def _numbers_in(text: str) -> tuple[_Signed, ...]:
    found = []
    for match in _NUMBER.finditer(text):
        first, end = match.span()
        before, after = _sign_at(text, first, -1), _sign_at(text, end, 1)
        at = first - 1 - (text[first - 1 : first] in _SPACES and before != "")
        minus_at = at if before == "" else at - 1
        lead = text[minus_at] if minus_at >= 0 else ""
        is_minus = (
            lead != "" and lead in _MINUSES and (minus_at == 0 or text[minus_at - 1] in " \n\t(\u00a0\u202f*_~`'\"")
        )
        is_share = after in (*_SHARES,)
        share = after if is_share else "word" if _SHARE_WORD.match(text, end) else ""
        currency = before or ("" if is_share else after)
        shown = f"{'-' if is_minus else ''}{before}{match[0]}{' ' if after else ''}{after}"
        found.append(_Signed(match[0], is_minus, currency, share, shown))
    return tuple(found)


def _sign_at(text: str, place: int, step: int) -> str:
    """The currency or share sign beside a number, perhaps behind one space; empty: none."""
    for distance in (0, 1):
        at = place + distance if step > 0 else place - 1 - distance
        if not 0 <= at < len(text):
            return ""
        sign = text[at]
        if unicodedata.category(sign) == "Sc" or (step > 0 and sign in _SHARES):
            return sign
        if sign not in _SPACES:
            return ""
    return ""


def changed_number(send: Text, own: list[str]) -> str | None:
    """A number of a reply that was sent with another sign, and what the run had written; None: there is none.

    Args:
        send: a text that holds a run's words.
        own: what its run wrote, and what its conversation's customer did.
    """
    written = [number for each in own for number in _numbers_in(each)]
    if not written:
        return None
    for reading in wording(send.text).undone:
        wrong = _first_changed(reading, written, is_piece=send.piece is not None)
        if wrong is None:
            return None
    return wrong


def _first_changed(text: str, written: list[_Signed], *, is_piece: bool) -> str | None:
    sent: dict[str, list[_Signed]] = {}
    for number in _numbers_in(text):
        if not is_piece or len(number.digits) >= _PIECE_DIGITS_MIN:
            sent.setdefault(number.digits, []).append(number)
    for digits, numbers in sent.items():
        known = [each for each in written if each.digits == digits]
        if known and not any(number.may_be(each) for number in numbers for each in known):
            return f"“{numbers[0].shown}” where the run had written “{known[0].shown}”"
    return None
