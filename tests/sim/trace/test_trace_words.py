"""Goal: a text is recognised by its words in whatever form a relay passes it on, and not in another one's."""

from __future__ import annotations

import html
import json
import re
import textwrap
import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from relaysim.sim.trace.words import Piece, wording

LONG = (
    "Hi! My order #4711 (blue, 40 cm) hasn't arrived:\n- ordered on 3 May <via the app>\n- paid 19.90 € & confirmed\n"
    'Your mail said "2_3 days", C:\\new\\table is the file. Où est-il? 🙏'
)
FORMS = {
    "as it is": str,
    "with words around it": lambda text: f"Customer 17 says:\n{text}\n-- sent from my phone",
    "as JSON": json.dumps,
    "as JSON in JSON": lambda text: json.dumps({"body": json.dumps({"text": text})}),
    "as a Python literal": ascii,
    "as Markdown": lambda text: re.sub(r"([\\`*_{}\[\]()#+.!|<>~-])", r"\\\1", text),
    "as HTML": lambda text: f"<p>{html.escape(text).replace(chr(10), '<br/>')}</p>",
    "as HTML in JSON": lambda text: json.dumps(html.escape(text)),
    "quoted": lambda text: "".join(f"> {line}\n" for line in text.splitlines()),
    "wrapped": lambda text: textwrap.fill(text, 40),
    "on one line": lambda text: " ".join(text.split()),
    "in capitals": str.upper,
}


@pytest.mark.parametrize("form", FORMS)
def test_words_are_found_in_every_form(form: str) -> None:
    for text in (LONG, "Question [c1.m1]", "Question [c1.m2], once more"):
        assert wording(FORMS[form](text)).holds(wording(text))


@pytest.mark.parametrize(
    "other",
    [
        LONG[:-20],  # cut off
        LONG.replace("4711", "4712"),
        LONG.replace("blue", "blue-ish red"),
        " ".join(reversed(LONG.split())),
        "The customer asks about order 4711.",
        "",
    ],
)
def test_other_words_are_not_taken_for_them(other: str) -> None:
    assert not wording(other).holds(wording(LONG))


def test_the_beginning_of_a_word_is_not_the_word() -> None:
    assert not wording("Question [c1.m10]").holds(wording("Question [c1.m1]"))
    assert not wording("Question [c1.m2], once more").holds(wording("Question [c1.m2], once"[:-1]))


def test_what_has_no_words_is_compared_as_it_stands() -> None:
    assert wording("He says: 👍!").holds(wording("👍 "))
    assert not wording("He says: 👎!").holds(wording("👍"))


def test_the_place_tells_which_of_two_texts_came_first() -> None:
    batch = wording(json.dumps(["first words", "second words"]))
    assert 0 <= batch.find(wording("first words")) < batch.find(wording("second words"))


def test_a_piece_is_known_by_most_of_its_words() -> None:
    reply = wording(" ".join(f"word{number}" for number in range(100)))
    assert wording("word10 word11").piece_of(reply) == Piece(10, 12)
    assert wording("(2/3) " + " ".join(f"word{number}" for number in range(40, 80))).piece_of(reply) == Piece(40, 80)
    assert wording(" ".join(f"word{number}" for number in range(60)) + " ...").piece_of(reply) == Piece(0, 60)
    assert wording("One moment please, word10 word11").piece_of(reply) is None
    assert wording("word1 is what they all say word2 word3 word4 word5").piece_of(reply) is None


@given(st.text(max_size=60), st.sampled_from(["as it is", "with words around it", "as JSON", "quoted"]))
def test_any_text_with_words_is_found_in_itself(text: str, form: str) -> None:
    assume(wording(text).words)
    assert wording(FORMS[form](text)).holds(wording(text))


# Whole


@pytest.mark.parametrize("form", sorted(FORMS.keys() - {"in capitals"}))
def test_a_text_is_whole_in_each_form(form: str) -> None:
    assert wording(FORMS[form](LONG)).holds_whole(wording(LONG))


@pytest.mark.parametrize(
    "other",
    [
        LONG.upper(),
        LONG.casefold(),
        LONG.replace(",", ""),
        LONG.replace("4711", "47 11"),
        LONG.replace(". ", "."),
        LONG.replace("?", "!"),
        "",
    ],
)
def test_with_other_letters_signs_or_spaces_it_is_not(other: str) -> None:
    assert other != LONG
    assert not wording(f"He says: {other}").holds_whole(wording(LONG))


def test_the_composed_form_and_layout_are_no_change() -> None:
    said = "Wo ist Bestellung 12 (Größe 40)?\n  Danke! 👍"
    assert wording(unicodedata.normalize("NFD", said)).holds_whole(wording(said))
    assert wording(" ".join(said.split())).holds_whole(wording(said))
    assert not wording(said.replace(" 👍", "")).holds_whole(wording(said))
    assert not wording(said.replace("ö", "o")).holds_whole(wording(said))
    assert not wording(said.replace("\n  ", "")).holds_whole(wording(said))


def test_how_often_words_stand_in_a_text() -> None:
    said = wording("one, two")
    assert [wording(each).count(said) for each in ("one", "One two one two", "one two two one two", "")] == [0, 2, 2, 0]
    assert wording("one two " + json.dumps("one\ntwo")).count(said) == 2
    assert wording("👍 👍").count(wording("👍")) == 0
