"""What an error of foreign code says, for a line that somebody reads, whatever it does to being read."""

from __future__ import annotations

from typing import Final

TEXT_MAX: Final = 2000
"""Characters of an error's text that are kept."""


def error_text(error: BaseException) -> str:
    """The error's text, cut off after `TEXT_MAX` characters; what it raises instead is named in its place."""
    try:
        text = str(error)
    except (Exception, GeneratorExit, SystemExit) as failure:
        return f"(its text cannot be had: {type(failure).__name__})"
    return writable(text if len(text) <= TEXT_MAX else f"{text[:TEXT_MAX]}... ({len(text):,} characters)")


def named(error: BaseException) -> str:
    """The error's class and text."""
    text = error_text(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def writable(text: str) -> str:
    """The text, with escapes in place of halves of surrogate pairs, which no UTF-8 can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="backslashreplace").decode()
    return text
