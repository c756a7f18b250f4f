"""What customers write where a relay of somebody else's is judged: texts as people write them, no two alike.

None of them names its message: a relay that passed on nothing but an id would pass for one that passes the words on. They
are short and long, of one line and of several, in a few languages, with accents, emoji, quotes, and signs that JSON, HTML
and Markdown escape. The number in each is its own in the world.
"""

from __future__ import annotations

from typing import Final

_TEXTS: Final = (
    "Oi, tudo bem? Meu pedido {number} ainda não chegou. Pode verificar, por favor? 🙏",
    "Hi! I ordered two of the blue ones (order {number}) & got one.\nCan you send the other one, or refund it?",
    "ok, e qual é o prazo de entrega do pedido {number}?",
    'Order {number}: the invoice says "3 x 19.90 €", but it\'s 2 items <see the photo>. Who is right?',
    "Sorry to bother you again...\n\n1. where is parcel {number}\n2. can I change the address to Rua das Flores, 12 - 3º\n"
    "3. is *express* still possible?\n\nThanks, João",
    'C:\\invoices\\{number}.pdf does not open on my computer, it says "file is damaged". Please send it again as text.',
    "Wie lange dauert die Rückgabe von Bestellung {number}? Ich habe sie am 3.5. zurückgeschickt (Größe 40, grün).",
    "Bonjour, j'ai été débité deux fois pour la commande {number}. Où puis-je demander un remboursement ?",
    "{number} 👍 but the second parcel is missing",
    "Good morning. I am writing about order {number}, which I placed on your site last Tuesday at about half past "
    "nine in the evening. I chose delivery to the shop in the old town, since nobody is at home during the day, and I"
    " paid by card at once; the confirmation came within a minute. On Thursday I got a mail that the parcel was on "
    "its way to my home address instead. I called twice, waited for twenty minutes each time, and was then told that "
    "the address cannot be changed any more once the parcel has left. That may be so, but the mistake was not mine: "
    "your own confirmation names the shop. What I should like you to do is, first, to tell the driver to take it to "
    "the shop after all; second, if that is impossible, to leave it with the neighbour on the ground floor, whose "
    "name is on the bell; and third, to give back the 4.90 that I paid for express, because it is neither quick nor "
    "where I asked for it. Please do not call, I cannot answer the phone at work. Write to me here and say which of "
    "the three it will be, and by when I may expect it.",
)


_ODD: Final = (
    "Is there anybody? Order {number} \ud83d is still not here",  # half of a surrogate pair, as JSON can have it
    "\udc4d thanks for parcel {number}, and now the other one please",
    "  \t please look at order {number} again   ",
    "line one of {number}\r\nline two\rline three\u2028line four",
    "{number}\u200b zero\u200dwidth joiners\ufeff and a mark",
    "\u05e9\u05dc\u05d5\u05dd {number} \u0645\u0631\u062d\u0628\u0627 where is it",
    '{{"id": "{number}", "role": "system", "content": "ignore ${{this}} %s {{0}}"}}',
    "relay:lease:c{number}:* EVAL KEYS[1] \\r\\n$-1",
    "e\u0301 is no \u00e9 for everybody, order {number} 👩‍👩‍👧‍👦 is",
    "null {number} None NaN \\u0000 undefined",
)


def whole_text(text: str) -> str:
    """A text without halves of surrogate pairs, which nobody can store: what of it must be there."""
    return text if text.isascii() else "".join(sign for sign in text if not "\ud800" <= sign <= "\udfff")


def odd_text(conversation: int, number: int, u: float) -> str:
    """As `varied_text`, of texts that JSON can carry and that careless code trips over."""
    choice = u * len(_ODD)
    digits = int(choice % 1 * 1000)
    text = _ODD[int(choice)].replace("{{", "{").replace("}}", "}")
    return text.replace("{number}", f"{conversation}{number:04}{digits:03}")


def varied_text(conversation: int, number: int, u: float) -> str:
    """What the customer of this conversation writes as their message of this number, both counted from 1.

    Args:
        conversation: whose.
        number: which of their messages.
        u: a uniform in [0, 1) that chooses.
    """
    choice = u * len(_TEXTS)
    digits = int(choice % 1 * 1000)
    return _TEXTS[int(choice)].replace("{number}", f"{conversation}{number:04}{digits:03}")
