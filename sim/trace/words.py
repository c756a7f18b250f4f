"""The one recogniser of words: whether a text holds another one's words, whatever was done to its form.

A relay may quote, escape, wrap, prefix or format what it passes on; what it may not do is change the words. So a text is
compared as the sequence of its words: runs of letters and digits, without accents, case, punctuation, emoji and layout. A
text can be read in several ways: as it stands, with backslash escapes undone (JSON, Markdown, Python), with HTML undone, and
without footnote marks. The marks by which the API cites files (`【4:0†hours.pdf】`) are no words: whoever shows a reply
replaces them, or leaves them out.
One text holds another if in some reading the other's words stand in it one after another.

It holds the other whole if nothing of it was changed either: the same letters in the same case, all its signs, and a space
wherever it had any. Signs and spaces may be added between its words, as quoting, escaping and wrapping do; how much white
space there is, and of which kind, is layout. Texts are compared in Unicode's composed form (NFC).

Would miss: words that were translated, inflected, or broken in two; a text in a cipher or an encoding such as base64.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import accumulate
from typing import Final, NamedTuple

_WORD: Final = re.compile(r"[^\W_]+")
_WORDS_APART: Final = re.compile(r"([^\W_]+)")
_ESCAPE: Final = re.compile(r"(?:\\u[0-9a-fA-F]{4})+|\\U000[0-9a-fA-F]{5}|\\x[0-9a-fA-F]{2}|\\(.)", re.DOTALL)
_TAG: Final = re.compile(r"<[^<>]*>")
_LAYOUT: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_CITATION: Final = re.compile(r"【\d+(?::\d+)?†[^】]*】")
_FOOTNOTE: Final = re.compile(r"\s?\[\d{1,3}\]|[⁰¹²³⁴-⁹]+")
_UNDONE_MAX: Final = 3
"""So many escapes around one another are undone: HTML in JSON in JSON, for instance."""

_COUNTED: Final = r"\d{1,3}\s*(?:/|\||of|out of|von|de|di|sur)\s*\d{1,3}(?![^\W_])"
_CALLED: Final = r"(?:part|teil|parte|partie|page|message|msg|sms)?"
_NUMBERINGS: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"^[\W_]*{_CALLED}[\W_]*{_COUNTED}\S*(?=\s)",
        rf"(?<=\s)[^\w\s]*{_CALLED}[\W_]*{_COUNTED}[\W_]*$",
        rf"^[\W_]*{_CALLED}[\W_]*\d{{1,3}}[^\w\s]+(?=\s)",
        rf"(?<=\s)[\[(<{{#]{_CALLED}[\W_]*\d{{1,3}}[\W_]*$",
    )
)
"""What relays put before or after the pieces of a text: "(1/4)", "Part 1 of 4:", "1."; the surest first."""

_PIECE_WORDS_MIN: Final = 4
"""Fewer words in a row that two texts share may be chance, unless they are all of the shorter one."""

_PIECE_SHARE_MIN: Final = 0.6
"""A piece of a text consists of its words by at least this share; the rest is a number, a greeting, an ellipsis."""

TELLING_WORDS: Final = 3
"""Fewer words may stand in a text by chance, beside another text that they are of."""

WHOLE_WORDS_MIN: Final = 6
"""All of a shorter text may be what anybody says, "Thank you very much" for instance."""

_SCRAMBLED_WORDS_MIN: Final = 6
_OF_ITS_WORDS_MIN: Final = 0.8
"""A text with another's words in another order has so many of them and hardly any others: texts of a language share some."""


_ORDERED_MIN: Final = 0.9
"""So much of what two texts share stands in one order where single words were changed; a few words may stand in both by
chance."""


class Piece(NamedTuple):
    """A part of some text's words: from the word `first` on, up to but not including the word `end`."""

    first: int
    end: int


class Wording:
    """A text as words.

    Attributes:
        text: as it stands.
        words: of it as it stands.
    """

    __slots__ = ("_joined", "_readings", "_undone", "_unnumbered", "text", "words")

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = _words_of(text)
        self._joined = _joined(self.words)
        self._readings: tuple[str, ...] | None = None
        self._undone: tuple[str, ...] | None = None
        self._unnumbered: tuple[str, ...] | None = None

    @property
    def undone(self) -> tuple[str, ...]:
        """The text in each way in which it can be read, with its signs; as it stands first."""
        if self._undone is None:
            self._undone = _undone(self.text)
        return self._undone

    @property
    def readings(self) -> tuple[str, ...]:
        """Its words, joined by spaces, in each way in which it can be read; as it stands first."""
        if self._readings is None:
            found = dict.fromkeys([self._joined, *(_joined(_words_of(each)) for each in self.undone[1:])])
            self._readings = tuple(each for each in found if each)
        return self._readings

    @property
    def unnumbered(self) -> tuple[str, ...]:
        """Its readings without a number that it may have as a piece, the likeliest first; last those with all its words."""
        if self._unnumbered is None:
            texts = (numbering.sub(" ", each, count=1) for numbering in _NUMBERINGS for each in self.undone)
            found = dict.fromkeys(_joined(_words_of(each)) for each in texts)
            others = [each for each in found if each and each not in self.readings]
            self._unnumbered = (*others, *self.readings)
        return self._unnumbered

    def is_at(self, other: Wording, first: int) -> Piece | None:
        """The part of the other's words from this one on that this text is, but for a number; None: it is not."""
        lengths = (len(own) for own in map(str.split, self.unnumbered) if other.words[first : first + len(own)] == own)
        longest = max(lengths, default=0)  # what looks like a number may be the piece itself: "3/4 (3)"
        return Piece(first, first + longest) if longest else None

    def goes_on_amid(self, word: int, other: Wording, before: Wording) -> Piece | None:
        """The part of the other's words that this text is after the rest of one of them, which was cut in two: the text
        before ends with its beginning. None: it is not, or it has no whole word."""
        left = other.words[word:]
        letters = "".join(left)
        for own in (reading.replace(" ", "") for reading in self.unnumbered):
            for cut in range(1, len(left[0]) if left else 0):
                end = cut + len(own)
                if letters[cut:end] != own or not any(
                    reading.replace(" ", "").endswith(letters[:cut]) for reading in before.unnumbered
                ):
                    continue
                whole = sum(1 for length in accumulate(map(len, left)) if length <= end)
                if whole > 1:
                    return Piece(word + 1, word + whole)
        return None

    def is_nothing_but(self, piece: Piece) -> bool:
        """Whether a text that has this piece of another one's words has no others, but for a number."""
        return any(reading.count(" ") - 1 == piece.end - piece.first for reading in self.unnumbered)

    def find(self, other: Wording) -> int:
        """Where the other's words begin in this text, as a place that grows with the text; -1: it does not hold them."""
        if not other.words:  # nothing but signs, such as an emoji
            return self.text.find(other.text.strip())
        for reading in self.readings:
            place = reading.find(other._joined)
            if place >= 0:
                return place
        return -1

    def holds(self, other: Wording) -> bool:
        """Whether the other's words stand in this text, one after another."""
        return self.find(other) >= 0

    def count(self, other: Wording) -> int:
        """How often the other's words stand in this text, at most, of all its readings."""
        return max((_count(reading, other._joined) for reading in self.readings), default=0) if other.words else 0

    def holds_whole(self, other: Wording) -> bool:
        """Whether the other stands in this text with all its letters, signs and spaces, perhaps with more between them."""
        if other.text.strip() in self.text:
            return True
        wanted = _Signed(other.text.strip())
        return any(_Signed(each).holds(wanted) for each in self.undone)

    def scrambles(self, other: Wording) -> bool:
        """Whether this text is made of the other's words, six at least, in whatever order they stand here."""
        there = Counter(other.words)
        for reading in self.readings:
            own = reading.split()
            shared = sum((Counter(own) & there).values())
            if shared >= max(_SCRAMBLED_WORDS_MIN, _OF_ITS_WORDS_MIN * len(own), _PIECE_SHARE_MIN * len(other.words)):
                return True
        return False

    def piece_of(self, other: Wording) -> Piece | None:
        """Which part of the other's words this text is, if it is one: all its words, or most of them and at least four.

        A number before or after them is none of its words.
        """
        if not self.words or not other.words:
            return None
        for reading in (*self.readings, *self.unnumbered):
            if reading in other._joined:
                first = other._joined[: other._joined.index(reading)].count(" ")
                return Piece(first, first + reading.count(" ") - 1)
        best = None
        for reading in self.readings:
            own = reading.split()
            match = SequenceMatcher(None, own, other.words, autojunk=False).find_longest_match()
            enough = max(_PIECE_WORDS_MIN, _PIECE_SHARE_MIN * len(own))
            if match.size >= enough and (best is None or match.size > best.end - best.first):
                best = Piece(match.b, match.b + match.size)
        return best


def keeps_order(text: str, other: str) -> bool:
    """Whether the words that two texts share stand in both in one order, nearly all of them."""
    own, there = wording(text).words, wording(other).words
    shared = sum((Counter(own) & Counter(there)).values())
    matched = sum(each.size for each in SequenceMatcher(None, own, there, autojunk=False).get_matching_blocks())
    return matched >= _ORDERED_MIN * shared


@lru_cache(maxsize=4096)
def wording(text: str) -> Wording:
    """The text as words, kept for the next time: the same texts are compared again and again."""
    return Wording(text)


def _words_of(text: str) -> list[str]:
    if not text.isascii():
        if "†" in text:
            text = _CITATION.sub(" ", text)
        text = "".join(each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each))
    return _WORD.findall(text.casefold())


def _joined(words: list[str]) -> str:
    return f" {' '.join(words)} " if words else ""


def _count(reading: str, joined: str) -> int:
    found, place = 0, reading.find(joined)
    while place >= 0:
        found += 1
        place = reading.find(joined, place + len(joined) - 1)  # the next one begins with the space that ends this one
    return found


class _Signed:
    """A text as its words and what stands before, between and after them; white space of any kind and length is a space."""

    __slots__ = ("between", "words")

    def __init__(self, text: str) -> None:
        parts = _WORDS_APART.split(" ".join(unicodedata.normalize("NFC", text).split()))
        self.words = parts[1::2]
        self.between = parts[::2]

    def holds(self, other: _Signed) -> bool:
        count = len(other.words)
        for first in range(len(self.words) - count + 1):
            if (
                self.words[first : first + 1] == other.words[:1]
                and self.words[first : first + count] == other.words
                and all(
                    _is_kept(wanted, found)
                    for wanted, found in zip(other.between, self.between[first : first + count + 1], strict=True)
                )
            ):
                return True
        return False


def _is_kept(wanted: str, found: str) -> bool:
    """Whether these signs stand there, in this order, perhaps among others."""
    if wanted in found:
        return True
    left = iter(found)
    return all(sign in left for sign in wanted)


def _undone(text: str) -> tuple[str, ...]:
    found = dict.fromkeys([text])
    texts = [text]
    for _ in range(_UNDONE_MAX):
        undone = []
        for each in texts:
            if "\\" in each:
                undone.append(_ESCAPE.sub(_unescaped, each))
            if "&" in each or "<" in each:
                undone.append(html.unescape(_TAG.sub(" ", each)))
            if _FOOTNOTE.search(each) is not None:
                undone.append(_FOOTNOTE.sub("", each))
        texts = [each for each in undone if each not in found]
        found.update(dict.fromkeys(texts))
    return tuple(found)


def _unescaped(match: re.Match[str]) -> str:
    written = match[0]
    if match[1] is not None:
        return _LAYOUT.get(match[1], match[1])
    if written.startswith(("\\x", "\\U")):
        return chr(int(written[2:], 16))
    units = b"".join(int(each, 16).to_bytes(2, "big") for each in written.split("\\u")[1:])
    return units.decode("utf-16-be", errors="replace")
