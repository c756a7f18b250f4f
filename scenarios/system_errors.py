"""What an error says, as part of a sentence on a terminal."""


def reason_of(error: BaseException) -> str:
    """The system's own words where it has some, in lower case: "no such file or directory"."""
    return (getattr(error, "strerror", None) or str(error)).lower()


def printable(text: str) -> str:
    """The text with escapes in place of whatever would move a terminal's cursor or change its colours."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode("ascii") for sign in text)


def one_line(text: str) -> str:
    """The text on one line, printable."""
    return printable(" ".join(text.split()))
