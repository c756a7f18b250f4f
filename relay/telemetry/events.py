"""Events: one line of JSON each, on the logger `relay` of the standard library.

    {"timestamp": "2025-11-04T12:00:00.250000Z", "level": "info", "event": "released", "conversation": "9d5f1c02", ...}

Which handlers see the line, and from which level on, is the application's business, as with any other line of `logging`.
structlog's own configuration is neither read nor written, so that an application may use structlog in its own way.
"""

import hashlib
import json
import logging
from typing import Any, Final, Literal

import structlog

from relaysim.relay.log_lines import logger, pseudonym

Level = Literal["debug", "info", "warning", "error"]

_NUMBERS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

# An encoder made once: `json.dumps` makes one per call as soon as it is given any option. No field holds itself.
_encode: Final = json.JSONEncoder(default=repr, check_circular=False).encode


class _Events(structlog.BoundLoggerBase):
    """structlog's logger for events. It hands records over without a search for the calling line (a third of the cost).

    That line would always be one of the relay's own; a record's function is the event's name instead.
    """

    def log(self, level: Level, name: str, fields: dict[str, Any]) -> None:
        """Log one event, whose level the wrapped logger accepts."""
        # With the timestamp's place kept, the line begins with what a reader looks for.
        named = {"timestamp": None, "level": level, "event": name, **fields}
        (line,), _ = self._process_event(level, None, named)
        logger.handle(logger.makeRecord(logger.name, _NUMBERS[level], "(event)", 0, line, (), None, name))


# Bound once: the lazy proxy that `wrap_logger` returns would look for structlog's configuration at every event.
_events: Final[_Events] = structlog.wrap_logger(
    logger,
    processors=[
        # Always with six digits: the format "iso" leaves the fraction out when it is zero.
        structlog.processors.TimeStamper(fmt="%Y-%m-%dT%H:%M:%S.%fZ", utc=True),
        structlog.processors.JSONRenderer(serializer=lambda fields, **_: _encode(fields)),
    ],
    wrapper_class=_Events,
    context_class=dict,
    cache_logger_on_first_use=True,
).bind()


def digest(message_id: str) -> str:
    """Sixteen hexadecimal digits that stand for a message id, which may hold a telephone number (WhatsApp's do)."""
    return hashlib.blake2b(message_id.encode(errors="backslashreplace"), digest_size=8).hexdigest()


def emit(
    name: str,
    /,
    level: Level = "info",
    *,
    conversation: str | None = None,
    message_id: str | None = None,
    **fields: Any,
) -> None:
    """Log the event `name`. If the logger `relay` is set above the level, this costs one look at it.

    Args:
        name: what happened.
        level: how bad that is.
        conversation: as the channel names it; the line holds its pseudonym, as the relay's other lines do.
        message_id: as the channel gives it; the line holds its digest, under `message`.
        fields: texts, numbers, booleans, None, or lists of them. None of a customer's words.
    """
    if not logger.isEnabledFor(_NUMBERS[level]):
        return
    known: dict[str, Any] = {}
    if conversation is not None:
        known["conversation"] = pseudonym(conversation)
    if message_id is not None:
        known["message"] = digest(message_id)
    known.update(fields)
    _events.log(level, name, known)
