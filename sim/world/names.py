"""What conversations and messages are called: by numbers, or so that careless code mixes them up.

Channels name conversations by what they like: telephone numbers, addresses with colons and at signs, ids in braces. A relay
that joins two names to a key takes the message `2:7` of `c1` for the message `7` of `c1:2`; one that puts a name between
the braces of a key's form, into a pattern or into a URL meets signs that mean something there.
"""

from __future__ import annotations

from typing import Final, Literal

Names = Literal["plain", "awkward"]

_AWKWARD: Final = ("c1", "c1:2", "c1:2%3A3", "{c4}", "c5 *?[ü]/", "c6")
"""By the number of a customer, counting from 1; later ones are like the last. Some begin with others."""


def conversation_name(number: int, names: Names = "plain") -> str:
    """What the conversation of this customer, counting from 1, is called."""
    if names == "plain":
        return f"c{number}"
    return _AWKWARD[number - 1] if number <= len(_AWKWARD) else f"c6:{number}"


def message_name(number: int, count: int, names: Names = "plain") -> str:
    """What the message of this customer with this number is called, both counting from 1: unique in the world."""
    if names == "plain":
        return f"c{number}.m{count}"
    # With the conversation's name before it and a colon between, the first two customers' messages read alike.
    return {1: f"2:{count}", 2: f"{count}", 4: f"{{m}}{count}%"}.get(number, f"m{number} {count}")


def customer_number(name: str, customers: int, names: Names = "plain") -> int | None:
    """Whose conversation has this name, of so many customers; None: nobody's."""
    return next((each for each in range(1, customers + 1) if conversation_name(each, names) == name), None)
