"""Where log lines go: each is one line of JSON on standard output.

The relay's own lines are JSON already, and hold neither a customer's words nor a name of a conversation. Lines of libraries
are wrapped: from `warning` on, without texts of errors (which may quote what was sent) and without their arguments beyond
what the library formats itself.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final

LEVELS: Final = ("debug", "info", "warning", "error")

_OWN: Final = "relay"
_CHATTY: Final = ("httpx", "httpx2", "httpcore", "httpcore2", "openai", "uvicorn.access")
"""Loggers whose lines may hold addresses and bodies: nothing below an error is heard of them."""


class _OneLine(logging.Formatter):
    """A line of JSON for each record."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if record.name == _OWN and message.startswith("{"):
            return message
        line = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "level": record.levelname.lower(),
            "event": "log",
            "logger": record.name,
            "message": message if record.exc_info is None else message.partition("\n")[0],
        }
        if record.exc_info is not None and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
        return json.dumps(line)


def set_up_log(level: str) -> None:
    """Send all log lines of this process to standard output.

    Args:
        level: of the relay's own lines, one of `LEVELS`.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_OneLine())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(_OWN).setLevel(level.upper())
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.captureWarnings(True)
    # What cannot be written (the reader of a pipe has gone) must not be told to the same pipe, with a traceback.
    logging.raiseExceptions = False
