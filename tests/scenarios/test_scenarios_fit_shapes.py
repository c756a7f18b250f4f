"""Goal: exports that are not simply lines in their order are read as what they are, or refused with the reason.

Method: one dated log with events, whose numbers are known, in every shape; what is read must be the same.
"""

from __future__ import annotations

import datetime
import gzip
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fit_logs import Backend, relay_log
from test_scenarios_fit_reading import read

from relaysim.scenarios.cli import main
from relaysim.scenarios.fit import blocks, reading
from relaysim.scenarios.fit.blocks import LogError
from relaysim.scenarios.fit.prefixes import DateOrder, moment_of
from relaysim.scenarios.fit.reading import Reading, read_logs

START = datetime.datetime(2025, 11, 4, 12, tzinfo=datetime.UTC)
LINES = relay_log(Backend(0.6, 1.0), 40, seed=5, dates=False, events=True).splitlines()
AT = [START + datetime.timedelta(milliseconds=700 * number) for number in range(len(LINES))]


def seen(found: Reading) -> dict[str, Any]:
    return {
        "endings": (found.met, dict(found.recovered), found.failed),
        "dated": found.unread.dated,
        "waited": {attempt: amounts.weights() for attempt, amounts in found.waited.items()},
        "free": found.free.weights(),
        "requests": found.requests.weights(),
        "lines": found.bytes.lines,
    }


def plain(lines: Sequence[str] = LINES) -> str:
    return "".join(f"{at.isoformat(timespec='milliseconds')} {line}\n" for at, line in zip(AT, lines, strict=True))


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found = seen(read(tmp_path_factory.mktemp("log"), plain()))
    assert found["dated"] == len(LINES)
    assert found["free"]
    assert found["requests"]
    return found


# One record over several lines


def milliseconds(at: datetime.datetime) -> int:
    return round(at.timestamp() * 1000)


def cloudwatch(indent: int) -> str:
    events = [
        {"logStreamName": "relay/1", "timestamp": milliseconds(at), "message": line, "ingestionTime": 1762257999999}
        for at, line in zip(AT, LINES, strict=True)
    ]
    return json.dumps({"events": events, "searchedLogStreams": []}, indent=indent, ensure_ascii=False)


def gcloud() -> str:
    return json.dumps(
        [
            {
                "insertId": "x1",
                "jsonPayload": {"message": line, "severity": {"n": 3}},
                "timestamp": at.isoformat(timespec="milliseconds"),
            }
            for at, line in zip(AT, LINES, strict=True)
        ],
        indent=2,
    )


def jq() -> str:
    return "\n".join(
        json.dumps({"time": milliseconds(at), "msg": line}, indent=2) for at, line in zip(AT, LINES, strict=True)
    )


@pytest.mark.parametrize("size", [700, blocks.BLOCK_BYTES])
@pytest.mark.parametrize("text", [cloudwatch(4), cloudwatch(2), gcloud(), jq()], ids=["aws 4", "aws 2", "gcloud", "jq"])
def test_records_of_several_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: dict[str, Any], text: str, size: int
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", size)
    found = seen(read(tmp_path, text))
    assert {**found, "lines": 0} == {**expected, "lines": 0}


def journal(at: datetime.datetime, line: str) -> str:
    message: object = line if line.isascii() else list(line.encode())
    return json.dumps(
        {"__REALTIME_TIMESTAMP": str(milliseconds(at) * 1000), "_PID": "42", "MESSAGE": message},
        separators=(",", ":"),
    )


def test_a_journals_messages_as_lists_of_bytes(tmp_path: Path, expected: dict[str, Any]) -> None:
    text = "\n".join(journal(at, line) for at, line in zip(AT, LINES, strict=True)) + "\n"
    assert '"MESSAGE":[226,' in text
    assert seen(read(tmp_path, text)) == expected
    # What is no list of bytes stays as it is.
    assert read(tmp_path, text, '{"MESSAGE":[1,900,2]}\n{"MESSAGE":[]}\n').met == expected["endings"][0]


# The newest line first


@pytest.mark.parametrize("size", [1, 64, 5000, blocks.BLOCK_BYTES])
def test_a_log_whose_newest_lines_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: dict[str, Any], size: int
) -> None:
    turned = "".join(reversed(plain().splitlines(keepends=True)))
    if size < 5000:
        turned = "".join(turned.splitlines(keepends=True)[:60])
        whole = seen(read(tmp_path, "".join(reversed(turned.splitlines(keepends=True)))))
    else:
        whole = expected
    monkeypatch.setattr("relaysim.scenarios.fit.shapes.BLOCK_BYTES", size)
    assert seen(read(tmp_path, turned)) == whole


def test_what_cannot_be_read_from_its_end_is_held_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: dict[str, Any]
) -> None:
    turned = "".join(reversed(plain().splitlines(keepends=True))).encode()
    assert seen(read(tmp_path, gzip.compress(turned))) == expected
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(turned))))
    assert seen(read_logs(["-"])) == expected
    monkeypatch.setattr(reading, "HELD_MAX", 50)
    with pytest.raises(LogError, match=r"0\.log: its newest lines come first, .* turn the log round"):
        read(tmp_path, gzip.compress(turned))


def test_lines_that_are_a_little_out_of_order_turn_nothing_round(tmp_path: Path, expected: dict[str, Any]) -> None:
    stamped = plain().splitlines(keepends=True)
    for number in range(0, len(stamped) - 5, 5):  # a foreign line that is late, as of another worker
        stamped[number] += f"{AT[max(number - 3, 0)].isoformat()} GET /health 200\n"
    found = seen(read(tmp_path, "".join(stamped)))
    assert {**found, "lines": 0} == {**expected, "lines": 0}


# Days and months, and clocks with twelve hours


def slashed(days: int, form: str, hours: int = 0) -> str:
    shift = datetime.timedelta(days=days, hours=hours)
    return "".join(f"{(at + shift).strftime(form)} {line}\n" for at, line in zip(AT, LINES, strict=True))


FORMS = {
    "day first": "%d/%m/%Y %H:%M:%S.%f",
    "month first": "%m/%d/%Y %H:%M:%S,%f",
    "month first, twelve hours": "%m/%d/%Y, %I:%M:%S.%f %p",
    "day first with hyphens": "%d-%m-%Y %H:%M:%S.%f",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_day_above_12_tells_which_number_is_the_day(tmp_path: Path, form: str) -> None:
    other = slashed(20, FORMS[form])  # the 24th, which stands in the second half of the log
    found = read(tmp_path, slashed(0, FORMS[form]) + other)
    assert found.unread.dated == 2 * len(LINES)
    assert (found.met, found.free.total) == (80, 2 * read(tmp_path, plain()).free.total)


@pytest.mark.parametrize("form", FORMS)
def test_on_a_single_day_it_does_not_matter(tmp_path: Path, expected: dict[str, Any], form: str) -> None:
    assert seen(read(tmp_path, slashed(0, FORMS[form]))) == expected


@pytest.mark.parametrize(("form", "order"), [("%d/%m/%Y %H:%M:%S", "dmy"), ("%m/%d/%Y %H:%M:%S", "mdy")])
def test_days_that_follow_one_another_tell_it_too(tmp_path: Path, form: str, order: DateOrder) -> None:
    read(tmp_path, slashed(0, form) + slashed(1, form) + slashed(2, form))
    with pytest.raises(LogError, match=r"--dates dmy or --dates mdy$"):
        read(tmp_path, slashed(0, form) + slashed(5, form))


def test_a_log_that_does_not_tell_is_refused_and_the_option_decides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "relay.log"

    def refusal(text: str, dates: str) -> str:
        log.write_text(text, encoding="utf-8")
        with pytest.raises(LogError) as caught:
            read_logs([str(log)], dates)  # type: ignore[arg-type]
        return str(caught.value)

    two_days = slashed(0, FORMS["day first"]) + slashed(5, FORMS["day first"])
    assert "04/11/2025 may be day and month or month and day" in refusal(two_days, "auto")
    assert main(["fit", str(log), "--quiet", "--out", str(tmp_path / "out")]) == 2
    assert "--dates dmy or --dates mdy" in capsys.readouterr().err
    assert read_logs([str(log)], "dmy").unread.dated == 2 * len(LINES)
    assert "--dates mdy cannot be: its dates are dmy" in refusal(slashed(20, FORMS["day first"]), "mdy")
    assert "split it" in refusal(slashed(20, FORMS["day first"]) + slashed(20, FORMS["month first"]), "auto")


def test_what_is_read_once_tells_the_order_by_its_beginning(
    monkeypatch: pytest.MonkeyPatch, expected: dict[str, Any]
) -> None:
    def piped(text: str) -> Reading:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(text.encode()))))
        return read_logs(["-"])

    assert seen(piped(slashed(0, FORMS["day first"]))) == expected
    assert piped(slashed(20, FORMS["day first"])).unread.dated == len(LINES)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1000)
    with pytest.raises(LogError, match="may be day and month"):
        piped(slashed(0, FORMS["day first"]))


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("2025-11-04 12:00:00.5 AM", 0),
        ("2025-11-04 01:00:00.5 PM", 13),
        ("2025-11-04 12:00:00.5 pm", 12),
        ("04/11/2025 1:00:00.5 p.m.", 13),
        ("04/11/2025, 12:00:00.5 AM", 0),
        ("Nov  4 11:00:00.5 PM", 23),
        ("2025-11-04 13:00:00.5 AMSTERDAM", 13),
    ],
)
def test_clocks_with_twelve_hours(text: str, hour: int) -> None:
    moment, midnight = (moment_of(each.encode(), dates="dmy") for each in (f"{text} relay: ", f"{text[:10]} 00:00:00 "))
    if text.startswith("Nov"):
        midnight = moment_of(b"Nov  4 00:00:00 ")
    assert moment is not None
    assert midnight is not None
    assert (moment[0] - midnight[0], moment[1]) == (hour * 3600 + 0.5, 1)
