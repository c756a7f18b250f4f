"""What a log's carrier puts around a line: when it was written, and by which worker.

Known are pm2 (`0|relay | `, with any date), `docker logs -t` and docker's json-file, Compose (`relay-1  | `), `journalctl`
(short, short-iso and short-unix with `host unit[pid]: `, and json), Kubernetes CRI and `kubectl logs --prefix`, the date of
Python's `logging`, and JSON that has the time as seconds, milliseconds or microseconds since 1970 (pino, zap, bunyan and
others; the `pid` in it names the worker). Nothing of it is required: a line may have a date and no worker, a worker and no
date, or neither.
"""

from __future__ import annotations

import datetime
import re
from functools import lru_cache
from typing import Final, Literal

_FIRST_DAY = datetime.date(1970, 1, 1).toordinal()  # near enough for a float to hold microseconds
LOOKED_AT_BYTES: Final = 400
"""How far from a line's own text its date is looked for, on either side."""
YEAR_UNKNOWN: Final = 2000
"""The year of dates without one (a leap year, so that each of them exists)."""

_ISO = re.compile(
    rb"(\d{4}-\d\d-\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?(?: ?([AaPp])\.?[Mm]\b)?(?: ?(Z\b|[+-]\d\d:?\d\d\b))?",
    re.ASCII,
)
_TWELVE = rb"(?: ?([AaPp])\.?[Mm]\b\.?)?"
_SLASHED = re.compile(
    rb"(?<![\d/.-])(\d{1,2})[/-](\d{1,2})[/-](\d{4})[,T ]+(\d{1,2}):(\d\d):(\d\d)(?:[.,](\d{1,9}))?" + _TWELVE,
    re.ASCII,
)
"""Whether the day or the month comes first is told by the whole log alone, see `shapes`."""
_SYSLOG = re.compile(
    rb"\b(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) ([ 0-3]?\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?" + _TWELVE,
    re.ASCII,
)
_SINCE_1970 = re.compile(
    rb'(?:^\s*|"(?:time|ts|timestamp|created|__REALTIME_TIMESTAMP)": ?"?)'
    rb"([12]\d{9})(?:\.(\d{1,9})|(\d{3}|\d{6}|\d{9}))?(?![\d.])",
    re.ASCII,
)
"""Ten digits of seconds and a fraction, or the same in thousandths, millionths or thousand-millionths of a second: the years
2001 to 2064. Only where the number stands at the start of a line or under a usual name: others are ids and telephones."""
_MONTHS = {
    b"Jan": 1,
    b"Feb": 2,
    b"Mar": 3,
    b"Apr": 4,
    b"May": 5,
    b"Jun": 6,
    b"Jul": 7,
    b"Aug": 8,
    b"Sep": 9,
    b"Oct": 10,
    b"Nov": 11,
    b"Dec": 12,
}
_WORKER = re.compile(
    rb"^\s*(\d{1,6}\|[^|]{1,64}\|)"
    rb"|^(\[pod/[^\]]{1,200}\])"
    rb"|^([\w.-]{1,64}) +\| "
    rb"|\s(\S{1,64} [^\s\[\]:]{1,64}\[\d{1,10}\]):"
    rb'|"(?:pid|_PID)": ?"?(\d{1,10})\b',
    re.ASCII,
)
_COLOURS = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")

DateOrder = Literal["dmy", "mdy"]
"""Which of the first two numbers of a date like 03/11/2025 is the day."""

Moment = tuple[float, int]
"""Seconds since some day that is the same for all lines of a log, and how many digits of the second are known."""


def moment_of(before: bytes, after: bytes = b"", *, dates: DateOrder | None = None) -> Moment | None:
    """When a line was written, from what stands before its own text, or else behind it (docker's json-file).

    Of several dates the finest, and of equally fine ones the nearest. Dates without a zone are read as UTC: only
    differences are ever used. None without a date, or if it is none (a 13th month). Dates like 03/11/2025 are read only with
    their order.
    """
    found = _finest(before[-LOOKED_AT_BYTES:], dates)
    return _finest(after[:LOOKED_AT_BYTES], dates) if found is None and after else found


def _finest(text: bytes, dates: DateOrder | None) -> Moment | None:
    best: Moment | None = None
    if dates is not None:
        for match in _SLASHED.finditer(text):
            moment = _slashed(match, dates)
            if moment is not None and (best is None or moment[1] >= best[1]):
                best = moment
    for match in _ISO.finditer(text):
        moment = _iso(match)
        if moment is not None and (best is None or moment[1] >= best[1]):
            best = moment
    if best is None:
        for match in _SYSLOG.finditer(text):
            moment = _syslog(match)
            if moment is not None and (best is None or moment[1] >= best[1]):
                best = moment
    if best is None and (since := _SINCE_1970.search(text)) is not None:
        best = _with_fraction(int(since[1]), since[2] or since[3])
    return best


@lru_cache(maxsize=64)
def _midnight(date: bytes) -> int | None:
    try:
        return (datetime.date.fromisoformat(date.decode()).toordinal() - _FIRST_DAY) * 86_400
    except ValueError:
        return None


def _iso(match: re.Match[bytes]) -> Moment | None:
    date, hours, minutes, seconds, fraction, half, zone = match.groups()
    midnight = _midnight(date)
    if midnight is None:
        return None
    at = midnight + _hour(hours, half) * 3600 + int(minutes) * 60 + int(seconds)
    if zone is not None and zone != b"Z":
        ahead = int(zone[1:3]) * 3600 + int(zone[-2:]) * 60
        at += ahead if zone[:1] == b"-" else -ahead
    return _with_fraction(at, fraction)


def _syslog(match: re.Match[bytes]) -> Moment | None:
    month, day, hours, minutes, seconds, fraction, half = match.groups()
    midnight = _midnight(b"%d-%02d-%02d" % (YEAR_UNKNOWN, _MONTHS[month], int(day)))
    if midnight is None:
        return None
    return _with_fraction(midnight + _hour(hours, half) * 3600 + int(minutes) * 60 + int(seconds), fraction)


def _slashed(match: re.Match[bytes], dates: DateOrder) -> Moment | None:
    one, two, year, hours, minutes, seconds, fraction, half = match.groups()
    day, month = (one, two) if dates == "dmy" else (two, one)
    midnight = _midnight(b"%s-%02d-%02d" % (year, int(month), int(day)))
    if midnight is None:
        return None
    return _with_fraction(midnight + _hour(hours, half) * 3600 + int(minutes) * 60 + int(seconds), fraction)


def _hour(hours: bytes, half: bytes | None) -> int:
    """The hour of the day; `half` is the letter of AM or PM, where a clock has twelve."""
    hour = int(hours)
    return hour if half is None else hour % 12 + 12 * (half in b"Pp")


def _with_fraction(at: int, fraction: bytes | None) -> Moment:
    if fraction is None:
        return float(at), 0
    # To the microsecond, which is what a number of this size can hold.
    digits = fraction[:6]
    return at + int(digits) / 10 ** len(digits), len(digits)


def worker_of(before: bytes) -> bytes:
    """What stands before a line for the worker that wrote it; empty if nothing does."""
    if b"|" not in before and b"[" not in before and b'"' not in before:
        return b""
    if b"\x1b" in before:
        before = _COLOURS.sub(b"", before)
    match = _WORKER.search(before[:LOOKED_AT_BYTES])
    return match[match.lastindex or 0].strip() if match is not None else b""
