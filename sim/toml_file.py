"""TOML that somebody gave, read within limits: what is too long or nested too deeply is no TOML that anybody can use.

`tomllib` has no limits of its own: it recurses, takes a minute for 50 MB, and lets an integer of 5,000 digits out as another
error than its own.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Iterable
from typing import Any, Final

BYTES_MAX: Final = 4_000_000
"""The longest file that is read; the longest scenario that ships has 10 kB."""

DEPTH_MAX: Final = 50
"""How deep tables and lists may lie inside each other."""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class TomlLimitError(tomllib.TOMLDecodeError):
    """TOML beyond a limit; the message says which."""


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The tables of a file. A byte order mark is passed over.

    Raises:
        OSError: it cannot be read.
        UnicodeDecodeError: it is not UTF-8.
        tomllib.TOMLDecodeError: it is no TOML, or goes beyond a limit (TomlLimitError).
    """
    content = read_within(path, BYTES_MAX)
    if len(content) > BYTES_MAX:
        raise TomlLimitError(f"it has more than {BYTES_MAX:,} bytes, which no file of this kind needs")
    return parse_toml(content.removeprefix(_BYTE_ORDER_MARK).decode("utf-8"))


def parse_toml(text: str) -> dict[str, Any]:
    """The tables of a text.

    Raises:
        tomllib.TOMLDecodeError: it is no TOML, or goes beyond a limit (TomlLimitError).
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError:
        raise TomlLimitError(_TOO_DEEP) from None
    except ValueError as error:  # Python's limit of digits
        raise TomlLimitError(f"it has a number of more digits than can be read ({error})") from None
    level: Iterable[Any] = [document]
    for _ in range(DEPTH_MAX):
        level = [part for each in level for part in _parts(each)]
        if not level:
            return document
    raise TomlLimitError(_TOO_DEEP)


_TOO_DEEP: Final = f"tables or lists lie more than {DEPTH_MAX} deep inside each other"


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def read_within(path: str | os.PathLike[str], bytes_max: int) -> bytes:
    """A file's content, or, of one that has more bytes, so many and one more. Nothing is waited for that has no writer.

    Raises:
        OSError: it cannot be read.
    """
    if "\0" in os.fspath(path):
        raise OSError(0, "its name holds a null character")
    # A named pipe without a writer would be waited for when it is opened, and then has an end at once.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(handle, "rb") as file:
        if stat.S_ISFIFO(os.fstat(handle).st_mode):
            os.set_blocking(handle, True)
        return file.read(bytes_max + 1)
