"""How the value of an environment variable is read: a rule gives it, or raises `ValueError` with what it must be."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import redis.asyncio

Read = Callable[[str], Any]
"""Gives the value of a text. Raises `ValueError` with what it must be, as "must be ..."."""

Provider = Literal["whatsapp", "evolution"]


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable.

    name      as it is set
    means     what it is, in a few words
    range     what it may be, with the unit
    read      reads it
    default   its text if it is not set; None: there is none
    needed    when it must be set, as it stands in the list ("always", "for whatsapp"); empty: never
    secret    its value is never shown, and may come from the file that `<name>_FILE` names
    remedy    what to do if it is needed and not set
    """

    name: str
    means: str
    range: str
    read: Read
    default: str | None = None
    needed: str = ""
    secret: bool = False
    remedy: str = ""


def whole(least: int, most: int, unit: str = "") -> tuple[str, Read]:
    """A whole number in a range: the words, and the rule."""
    words = f"a whole number{f' of {unit}' if unit else ''} from {least} to {most}"

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}", text) or not least <= int(text) <= most:
            raise ValueError(f"must be {words}")
        return int(text)

    return words, read


def port_number(text: str) -> int:
    """A port; 0: a free one."""
    if text.startswith("tcp://"):
        raise ValueError("is set by Kubernetes for a service called relay; set enableServiceLinks: false, or rename it")
    number: int = whole(0, 65_535)[1](text)
    return number


def seconds(least: float, most: float) -> tuple[str, Read]:
    """A number of seconds in a range."""
    words = f"seconds, {least:g} to {most:g}"

    def read(text: str) -> float:
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) or not least <= float(text) <= most:
            raise ValueError(f"must be a number of {words}")
        return float(text)

    return words, read


def one_of(*choices: str) -> tuple[str, Read]:
    """One of these texts."""
    words = " or ".join(choices) if len(choices) < 3 else f"{', '.join(choices[:-1])} or {choices[-1]}"

    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(f"must be {words}")
        return text

    return words, read


_VISIBLE: Final = re.compile(r"[\x21-\x7e]+")


def secret_text(text: str) -> str:
    """A secret: visible characters of ASCII, as they go into headers."""
    if not _VISIBLE.fullmatch(text):
        raise ValueError("must consist of visible ASCII characters, without spaces or line breaks; copy it again")
    return text


def any_text(text: str) -> str:
    """Any text."""
    return text


def name_text(text: str) -> str:
    """A name: visible characters of ASCII."""
    if not _VISIBLE.fullmatch(text):
        raise ValueError("must consist of visible ASCII characters, without spaces")
    return text


def digits(text: str) -> str:
    """Digits."""
    if not re.fullmatch(r"[0-9]{1,32}", text):
        raise ValueError("must be digits alone (it is the id of the number, not the number)")
    return text


def http_url(text: str) -> str:
    """An address that begins with http:// or https://, without a query."""
    words = "must be an address like https://host:port/path, without a user, a query or a fragment"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(words) from None
    is_one = parts.scheme in ("http", "https") and parts.hostname and port != 0
    if not is_one or parts.query or parts.fragment or "@" in parts.netloc or not _VISIBLE.fullmatch(text):
        raise ValueError(words)
    return text.rstrip("/")


def redis_url(text: str) -> str:
    """The address of a Redis, or `embedded`."""
    words = "must be redis://, rediss:// or unix:// and an address, or embedded"
    if text == "embedded":
        return text
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(words) from None
    named = parts.path if parts.scheme == "unix" else parts.hostname
    if parts.scheme not in ("redis", "rediss", "unix") or not named or port == 0 or not _VISIBLE.fullmatch(text):
        raise ValueError(words)
    try:
        # Without a connection: what the client makes of the address, and of what it finds in its query.
        redis.asyncio.ConnectionPool.from_url(text).make_connection()  # type: ignore[no-untyped-call]
    except Exception:  # whatever the client raises; its text may quote the password
        raise ValueError("has something in it that the Redis client does not understand; see its query") from None
    if parts.scheme != "unix" and not re.fullmatch(r"(/[0-9]{0,4})?", parts.path):
        raise ValueError("must end in the number of a database, such as /0, or in nothing")
    return text


def path_of_url(text: str) -> str:
    """A path of a webhook's address."""
    if not re.fullmatch(r"/[A-Za-z0-9._~/-]*", text):
        raise ValueError("must begin with / and consist of letters, digits and . _ ~ - /")
    if text in ("/healthz", "/readyz", "/metrics"):
        raise ValueError("is taken by the program itself; choose another path")
    return text


def folder(text: str) -> Path:
    """A folder."""
    return Path(text)
