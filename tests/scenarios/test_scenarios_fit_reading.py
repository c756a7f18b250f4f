"""Goal: a log's counts are exact whatever stands before, between and within its lines, and nothing in it is fatal.

Method: the same short story of three messages, wrapped as each carrier wraps it, damaged in each way, in one file or many.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from relaysim.relay.log_lines import PLAIN, WITH_SYMBOLS, LogLines
from relaysim.scenarios.fit import blocks
from relaysim.scenarios.fit.blocks import Bytes, LogError, blocks_of, check_logs
from relaysim.scenarios.fit.lines import EVENT_KINDS, OTHER_EVENTS, Kind, Unread, lines_of
from relaysim.scenarios.fit.prefixes import moment_of, worker_of
from relaysim.scenarios.fit.reading import FAILED, PORTIONS_MAX, Portions, Reading, read_logs


def conflict(lines: LogLines, run: str, attempt: int, milliseconds: int) -> list[str]:
    return [
        lines.active_run_detected % (attempt, 3),
        lines.attempting_to_cancel % run,
        lines.cancellation_requested % run,
        lines.waiting % milliseconds,
    ]


def story(lines: LogLines = WITH_SYMBOLS) -> list[str]:
    """One message recovers at attempt 2, one at 3, one gives up."""
    return [
        *conflict(lines, "run_A1", 1, 2000),
        lines.created % 2,
        *conflict(lines, "run_B2", 1, 2000),
        *conflict(lines, "run_B2", 2, 4000),
        lines.created % 3,
        *conflict(lines, "run_C3", 1, 2000),
        *conflict(lines, "run_C3", 2, 4000),
        *conflict(lines, "run_C3", 3, 8000),
        lines.failed % 3,
    ]


def read(tmp_path: Path, *texts: str | bytes) -> Reading:
    names = []
    for number, text in enumerate(texts):
        path = tmp_path / f"{number}.log"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        names.append(str(path))
    return read_logs(names)


def assert_story(reading: Reading, times: int = 1) -> None:
    assert reading.met == 3 * times
    assert dict(reading.recovered) == {2: times, 3: times}
    assert reading.failed == times
    assert dict(reading.attempts) == {3: 3 * times}


# Carriers


def dated(number: int) -> str:
    return f"2025-11-04T12:00:{number:02}.25"


CARRIERS: dict[str, Callable[[int, str], str]] = {
    "none": lambda number, line: line,
    "pm2": lambda number, line: f"0|relay    | {line}",
    "pm2 with its date": lambda number, line: f"0|relay    | 2025-11-04T12:00:{number:02}: {line}",
    "pm2 with a date of one's own": lambda number, line: f"12|relay-eu | 2025-11-04 12:00:{number:02} -03:00: {line}",
    "docker logs -t": lambda number, line: f"{dated(number)}0000001Z {line}",
    "docker's json-file": lambda number, line: json.dumps(
        {"log": line + "\n", "stream": "stdout", "time": f"{dated(number)}0000001Z"}
    ),
    "docker's json-file as docker writes it": lambda number, line: json.dumps(
        {"log": line + "\n", "stream": "stdout", "time": f"{dated(number)}0000001Z"},
        ensure_ascii=False,
        separators=(",", ":"),
    ),
    "Compose": lambda number, line: f"\x1b[36mrelay-1  | \x1b[0m{line}",
    "journalctl short": lambda number, line: f"Nov 04 12:00:{number:02} host-1 relay[4242]: {line}",
    "journalctl short-iso": lambda number, line: f"2025-11-04T12:00:{number:02}+0000 host-1 relay[4242]: {line}",
    "Kubernetes CRI": lambda number, line: f"{dated(number)}0000001+01:00 stdout F {line}",
    "kubectl logs --prefix": lambda number, line: f"[pod/relay-5d9c-x2x/relay] {line}",
    "logging": lambda number, line: f"2025-11-04 12:00:{number:02},250 WARNING relay: {line}",
    "pino": lambda number, line: json.dumps({"level": 30, "time": 1762257600000 + number, "msg": line}),
    "zap": lambda number, line: json.dumps({"level": "warn", "ts": 1762257600.25 + number, "msg": line}),
    "journalctl short-unix": lambda number, line: f"17622576{number:02}.250000 host-1 relay[4242]: {line}",
    "journalctl json": lambda number, line: json.dumps(
        {"MESSAGE": line, "_PID": "4242", "__REALTIME_TIMESTAMP": f"{1762257600250000 + number * 10**6}"}
    ),
    "structlog": lambda number, line: json.dumps({"event": line, "level": "info", "timestamp": f"{dated(number)}Z"}),
}


@pytest.mark.parametrize("lines", [PLAIN, WITH_SYMBOLS], ids=["plain", "with symbols"])
@pytest.mark.parametrize("carrier", CARRIERS)
def test_counts_behind_every_prefix(tmp_path: Path, carrier: str, lines: LogLines) -> None:
    wrap = CARRIERS[carrier]
    text = "\n".join(wrap(number, line) for number, line in enumerate(story(lines))) + "\n"
    reading = read(tmp_path, text)
    assert_story(reading)
    dates = carrier not in ("none", "pm2", "Compose", "kubectl logs --prefix")
    assert reading.unread.dated == (len(story()) if dates else 0)
    assert dict(reading.waited[1].weights()) == {2.0: 3}
    assert dict(reading.waited[2].weights()) == {6.0: 2}
    assert dict(reading.waited[3].weights()) == {14.0: 1}


@pytest.mark.parametrize(
    ("before", "seconds", "digits"),
    [
        ("2025-11-04T12:00:00Z ", 0.0, 0),
        ("2025-11-04T12:00:00.123456789Z ", 0.123456, 6),
        ("2025-11-04 12:00:00,25 INFO ", 0.25, 2),
        ("2025-11-04T15:00:00.5+03:00 stdout F ", 0.5, 1),
        ("2025-11-04T09:00:00.5-0300 host relay[7]: ", 0.5, 1),
        ("2025-11-04 09:00:00 -03:00: ", 0.0, 0),
        ("1762257600.25 host relay[7]: ", 0.25, 2),
        ('{"level":30,"time":1762257600250,"pid":7,"msg":"', 0.25, 3),
        ('{"ts": 1762257600.25, "msg": "', 0.25, 2),
        ('{"__REALTIME_TIMESTAMP" : "0", "__REALTIME_TIMESTAMP":"1762257600250000","MESSAGE":"', 0.25, 6),
        ('{"time": 1762257600, "msg": "', 0.0, 0),
        ('{"time":1762257600250,"at":"2025-11-04T12:00:00.5Z","msg":"', 0.5, 1),
        # The finer of two dates, and of equals the nearer.
        ("2025-11-04T12:00:09: 2025-11-04 12:00:00,125 INFO ", 0.125, 3),
        ("2025-11-04T12:00:09.000Z 2025-11-04T12:00:00.125Z ", 0.125, 3),
    ],
)
def test_dates(before: str, seconds: float, digits: int) -> None:
    noon = moment_of(b"2025-11-04T12:00:00Z")
    assert noon is not None
    moment = moment_of(before.encode())
    assert moment is not None
    assert (round(moment[0] - noon[0], 6), moment[1]) == (seconds, digits)


def test_dates_without_a_year_and_dates_that_are_none() -> None:
    first, second = moment_of(b"Feb 29 23:59:59.5 host relay[1]: "), moment_of(b"Mar  1 00:00:01 host relay[1]: ")
    assert first is not None
    assert second is not None
    assert second[0] - first[0] == 1.5
    assert moment_of(b"2025-13-41T12:00:00Z ") is None
    assert moment_of(b"Feb 31 12:00:00 host ") is None
    assert moment_of(b"0000-00-00 00:00:00 ") is None
    assert moment_of(b"") is None
    # Numbers that are something else.
    for none in (
        '{"id":1762257600250,"msg":"',
        '{"time":17622576002,"msg":"',
        '{"time":1762257600.2.1,"',
        "to 1762257600 ",
    ):
        assert moment_of(none.encode()) is None


def test_workers() -> None:
    assert worker_of(b"0|relay    | 2025-11-04T12:00:00: ") == b"0|relay    |"
    assert worker_of(b"\x1b[36mrelay-2  | \x1b[0m") == b"relay-2"
    assert worker_of(b"Nov 04 12:00:00 host-1 relay[4242]: ") == b"host-1 relay[4242]"
    assert worker_of(b"[pod/relay-5d9c-x2x/relay] ") == b"[pod/relay-5d9c-x2x/relay]"
    assert worker_of(b'{"level":30,"time":1762257600250,"pid":42,"hostname":"host-1","msg":"') == b"42"
    assert worker_of(b'{"_PID":"4242","MESSAGE":"') == b"4242"
    assert worker_of(b"2025-11-04T12:00:00Z ") == b""


# Damage


FOREIGN = [
    b"",
    b"GET /health 200 3ms",
    "Ответ отправлен клиенту за 2000 мс".encode(),
    "请求失败 (attempt 2)".encode(),
    b"Mensagem criada com sucesso (tentativa 2)",
    b"[OpenAI] Message created",
    b"[OpenAI] Message created successfully (attempt two)",
    b"[OpenAI] Message created successfully (attempt 99999999999999999999)",
    b"[openai] message created successfully (attempt 2)",
    b"[Relay] Handling failed on thread_X: APIConnectionError",
    b'{"event": "recovered"}',
    b'{"event": "created", "attempt": 2, "level": "info", "timestamp": "2025-11-04T12:00:00Z"}',
    b'{"event": "recovered", "level": "info", "attempt": 2',
    b'"event": ',
    b'{"event":',
    b"\xff\xfe\xfd not UTF-8 \xc3",
    b"nul \x00\x00 bytes",
    b"\x1b[31mred\x1b[0m",
    b"[" * 1000,
    b"\\" * 1000,
]


def test_foreign_and_damaged_lines_change_nothing(tmp_path: Path) -> None:
    own = [line.encode() for line in story()]
    mixed: list[bytes] = []
    for number, line in enumerate(own):
        mixed += [line, FOREIGN[number % len(FOREIGN)], FOREIGN[(number * 7 + 3) % len(FOREIGN)]]
    reading = read(tmp_path, b"\r\n".join([*mixed, *FOREIGN]) + b"\r\n")
    assert_story(reading)
    lines = len(mixed) + len(FOREIGN)
    assert (reading.bytes.lines, reading.bytes.carriage_returns) == (lines, lines)
    # Each is counted as often as it stands there.
    everything = [*mixed, *FOREIGN]
    assert reading.bytes.not_utf8 == everything.count(FOREIGN[15])
    assert reading.bytes.nul == everything.count(FOREIGN[16])
    assert reading.bytes.coloured == everything.count(FOREIGN[17])
    assert reading.unread.by_wording == sum(everything.count(FOREIGN[index]) for index in (5, 6, 7, 9))
    assert reading.unread.events == everything.count(FOREIGN[12])


def test_a_log_of_noise_is_read_to_its_end(tmp_path: Path) -> None:
    source = random.Random(7)
    marks = [b"[OpenAI] ", b"[Relay] ", b'"event": "', b"run_", b"(attempt ", b"\n", b'{"', b"}", b"\\", b"2025-11-04T"]
    noise = b"".join(source.choice(marks) + source.randbytes(source.randrange(12)) for _ in range(40_000))
    reading = read(tmp_path, noise)
    assert reading.bytes.bytes == len(noise)
    assert reading.bytes.lines == noise.count(b"\n") + (not noise.endswith(b"\n"))
    assert (reading.met, reading.ended) == (0, 0)


def test_torn_ends(tmp_path: Path) -> None:
    text = "\n".join(story())
    whole = read(tmp_path, text)
    assert_story(whole)
    assert whole.bytes.unfinished == 1
    cut = read(tmp_path, text[60:-1])  # within the first line, and before the last byte
    assert (cut.met, dict(cut.recovered), cut.failed) == (2, {2: 1, 3: 1}, 0)
    assert cut.bytes.lines == len(story())


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_lines_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", size)
    text = "\r\n".join(story()) + "\r\n"
    reading = read(tmp_path, text, text)
    assert_story(reading, 2)
    assert reading.bytes.bytes == 2 * len(text.encode())
    assert (reading.bytes.lines, reading.bytes.carriage_returns) == (2 * len(story()),) * 2
    assert (reading.bytes.not_utf8, reading.bytes.unfinished, reading.bytes.too_long) == (0, 0, 0)


@pytest.mark.parametrize("block", [64 * 1024, 4 * 1024 * 1024])
def test_very_long_lines_are_skipped_in_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", block)
    created = (PLAIN.created % 2).encode()
    long = b"x" * (blocks.LINE_BYTES_MAX + 1)
    own = "\n".join(story()).encode()
    path = tmp_path / "long.log"
    path.write_bytes(b"\n".join([own, long + created, created + long, own, long * 5 + created, own, b"y" * 1000]))
    found, unread = Bytes(), Unread()
    largest = 0
    lines = []
    for each in blocks_of(str(path), found):
        largest = max(largest, len(each))
        lines += [line.kind for line in lines_of(each, unread)]
    assert found.too_long == 3
    assert found.lines == 3 * len(story()) + 4
    assert lines.count(Kind.CREATED) == 3 * 2
    assert largest <= block + blocks.LINE_BYTES_MAX


def test_compressed_logs(tmp_path: Path) -> None:
    text = ("\n".join(story()) + "\n").encode()
    assert_story(read(tmp_path, gzip.compress(text) + gzip.compress(text)), 2)
    # The rest of a log that breaks off is not known; what came before it counts.
    noise = random.Random(2).randbytes(300_000).replace(b"\n", b"")
    half = read(tmp_path, gzip.compress(text + noise)[:-50_000])
    assert half.bytes.broken_off == 1
    assert_story(half)
    damaged = bytearray(gzip.compress(random.Random(1).randbytes(100_000)))
    damaged[5000:5100] = b"\0" * 100
    assert read(tmp_path, bytes(damaged)).bytes.broken_off == 1


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_with_its_mark(tmp_path: Path, encoding: str) -> None:
    text = "\ufeff" + "\r\n".join(story()) + "\r\n"
    assert_story(read(tmp_path, text.encode(encoding)))


def test_an_empty_log(tmp_path: Path) -> None:
    reading = read(tmp_path, "")
    assert (reading.bytes.lines, reading.bytes.bytes, reading.ended) == (0, 0, 0)


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    text = ("\n".join(story()) + "\n").encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(gzip.compress(text)))))
    assert_story(read_logs(["-"]))


def test_every_log_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(LogError) as caught:
        check_logs([str(tmp_path), "absent.log", "-", "-"])
    said = str(caught.value).splitlines()
    assert said == [
        f"{tmp_path}: is a folder; name the logs in it",
        "absent.log: cannot be read: no such file or directory",
        "-: is named twice",
    ]


# Workers that write at once


def test_interleaved_workers_are_counted_exactly(tmp_path: Path) -> None:
    source = random.Random(3)
    stories = [[line.replace("run_", f"run_w{number}") for line in story()] for number in range(40)]
    mixed = []
    while any(stories):
        lines = source.choice([each for each in stories if each])
        mixed.append(lines.pop(0))
    assert_story(read(tmp_path, "\n".join(mixed)), 40)


def test_logs_of_several_workers_do_not_mix(tmp_path: Path) -> None:
    # The first log ends with a conflict whose run stands in the second: no step may be joined over the gap.
    first = "\n".join(story(PLAIN)[:1])
    second = "\n".join(story(PLAIN)[1:])
    reading = read(tmp_path, first, second)
    assert_story(reading)
    assert dict(reading.waited[1].weights()) == {2.0: 2}


# Events


def event(name: str, at: float, **fields: object) -> str:
    stamp = f"2025-11-04T12:{int(at) // 60:02}:{at % 60:09.6f}Z"
    return json.dumps({"timestamp": stamp, "level": "info", "event": name, **fields})


def test_an_event_beside_its_line_is_not_counted_again(tmp_path: Path) -> None:
    def with_events(lines: list[str]) -> list[str]:
        told = []
        for line in lines:
            told.append(line)
            if "successfully (attempt 2)" in line:
                told.append(event("recovered", 1, conversation="0000000a", attempt=2, seconds=2.0))
            elif "successfully (attempt 3)" in line:
                told.append(event("recovered", 2, conversation="0000000b", attempt=3, seconds=6.0))
            elif "Failed" in line:
                told.append(event("gave_up", 3, conversation="0000000c", attempts=3, seconds=14.0))
        return told

    both = with_events(story())
    assert_story(read(tmp_path, "\n".join(both)))
    only_events = [line for line in both if line.startswith("{")]
    alone = read(tmp_path, "\n".join(only_events))
    assert (alone.met, dict(alone.recovered), alone.failed) == (3, {2: 1, 3: 1}, 1)
    assert_story(read(tmp_path, "\n".join(both), "\n".join(story())), 2)
    # Through docker's driver, each quoted once more.
    wrapped = "\n".join(json.dumps({"log": line + "\n", "stream": "stdout"}) for line in both)
    assert_story(read(tmp_path, wrapped))


def test_events_make_an_episode_whole(tmp_path: Path) -> None:
    # Refused at 10.0; cancel 0.4 s, wait 2 s, append 0.4 s: refused at 12.8; cancel 0.4, wait 4, append 0.4: 17.6.
    lines = [
        event("conflict", 10.0, conversation="0000000b", cause="foreign", run="run_B"),
        event("conflict", 12.8, conversation="0000000b", cause="foreign", run="run_B"),
        event("recovered", 17.6, conversation="0000000b", attempt=3, seconds=6.0),
    ]
    reading = read(tmp_path, "\n".join(lines))
    assert dict(reading.joined) == {3: 1}
    # From the middle of the first cancel (10.2) to the middle of the two appends (12.6 and 17.4).
    assert [(round(low, 2), round(high, 2), count) for low, high, count in reading.free.weights()] == [(2.4, 7.2, 1)]


def test_an_episode_that_met_two_runs_freed_the_first_before_the_second(tmp_path: Path) -> None:
    lines = [
        event("conflict", 10.0, conversation="0000000b", cause="foreign", run="run_B"),
        event("conflict", 12.8, conversation="0000000b", cause="foreign", run="run_C"),
        event("recovered", 17.6, conversation="0000000b", attempt=3, seconds=6.0),
    ]
    reading = read(tmp_path, "\n".join(lines))
    assert [(round(low, 2), round(high, 2)) for low, high, _ in reading.free.weights()] == [(0.0, 2.4)]


def test_episodes_with_a_missing_refusal_are_not_joined(tmp_path: Path) -> None:
    lines = [
        event("conflict", 10.0, conversation="0000000b", cause="foreign", run="run_B"),
        event("recovered", 17.6, conversation="0000000b", attempt=3, seconds=6.0),
        event("conflict", 30.0, conversation="0000000d", cause="foreign", run="run_D"),
        event("recovered", 31.0, conversation="0000000d", attempt=2, seconds=2.0),  # before its wait was over
        event("conflict", 20.0, conversation="0000000c", cause="unknown", run=None),
        event("recovered", 22.8, conversation="0000000c", attempt=2, seconds=2.0),
    ]
    reading = read(tmp_path, "\n".join(lines))
    assert (reading.ended, reading.joined.total(), reading.free.total) == (3, 0, 0)


def test_drain_makes_no_attempts(tmp_path: Path) -> None:
    lines = [
        event("lease_taken", 1, conversation="0000000d", epoch=1, how="accept"),
        event("conflict", 2, conversation="0000000d", cause="orphan", run="run_D"),
        event("recovered", 9, conversation="0000000d", attempt=2, seconds=7.0),
    ]
    reading = read(tmp_path, "\n".join(lines))
    assert (reading.met, reading.ended, reading.drained) == (0, 0, 1)


def test_a_run_that_was_taken_away_counts_once(tmp_path: Path) -> None:
    lines = [
        "[Relay] Run run_Z ended in cancelled",  # nobody here cancelled it
        *conflict(PLAIN, "run_A", 1, 2000),
        event("run_ended", 5, conversation="0000000a", run="run_A", status="cancelled", seconds=4.0),
        "[Relay] Run run_A ended in cancelled",
        *conflict(PLAIN, "run_B", 1, 2000),
        "[Relay] Run run_B ended in failed",
    ]
    assert read(tmp_path, "\n".join(lines)).taken_away == 1


def test_every_event_of_the_relay_is_known() -> None:
    import re

    import relaysim.relay.telemetry.telemetry as module

    source = Path(module.__file__).read_text(encoding="utf-8")
    told = {name.encode() for name in re.findall(r'self\._log\("(\w+)"', source)}
    assert told == set(EVENT_KINDS) | OTHER_EVENTS


def test_events_with_wrong_fields_are_counted_and_left_out(tmp_path: Path) -> None:
    lines = [
        event("recovered", 1, conversation="not a pseudonym", attempt=2, seconds=2.0),
        event("recovered", 1, conversation="0000000a", attempt="two", seconds=2.0),
        event("recovered", 1, conversation="0000000a", attempt=-1, seconds=2.0),
        event("recovered", 1, conversation="0000000a", attempt=2, seconds=-2.0),
        event("gave_up", 1, conversation="0000000a", attempts=0, seconds=2.0),
        event("run_ended", 1, conversation="0000000a", run="run'; --", status="completed", seconds=2.0),
        event("outcome", 1, conversation="0000000a", outcome="answered", seconds=1e300, messages=1),
    ]
    reading = read(tmp_path, "\n".join(lines))
    assert reading.unread.events == len(lines)
    assert (reading.ended, reading.runs.total, reading.outcomes.total()) == (0, 0, 0)


# Endings that are none


def test_a_message_created_at_the_first_attempt_met_no_run(tmp_path: Path) -> None:
    lines = [*story(), *[PLAIN.created % 1] * 5, *[PLAIN.created % 0] * 3, PLAIN.failed % 0]
    reading = read(tmp_path, "\n".join(lines))
    assert_story(reading)
    assert reading.unread.found[Kind.CREATED_AT_FIRST] == 5
    assert reading.unread.found[Kind.CREATED] == 2
    assert reading.unread.by_wording == 4
    assert sum(each.total() for each in reading.portions.all()) == 3


def test_each_failure_counts_by_its_own_number_of_attempts(tmp_path: Path) -> None:
    lines = [PLAIN.failed % 3, PLAIN.failed % 5, event("gave_up", 3, conversation="0000000c", attempts=5, seconds=14.0)]
    reading = read(tmp_path, "\n".join([*lines, event("gave_up", 4, conversation="0000000d", attempts=4, seconds=1.0)]))
    assert dict(reading.failed_after) == {3: 1, 5: 1, 4: 1}
    assert reading.failed == 3


# In bounded memory


def test_portions_keep_every_ending_in_few_portions() -> None:
    portions = Portions()
    for number in range(10_001):
        portions.add(2 if number % 3 else FAILED)
    kept = portions.all()
    assert len(kept) <= PORTIONS_MAX
    assert sum(each.total() for each in kept) == 10_001
    assert sum(each[FAILED] for each in kept) == 3334
    assert len({each.total() for each in kept[:-1]}) == 1


def test_an_event_of_the_relay_is_seen_behind_another_programs(tmp_path: Path) -> None:
    ours = event("recovered", 1, conversation="0000000a", attempt=2, seconds=2.0)
    wrapped = json.dumps({"event": "container_log", "event_id": 7, "container": "relay"})[:-1]
    reading = read(tmp_path, f'{wrapped}, "log": {ours}}}\n')
    assert reading.recovered == {2: 1}


def test_colours_and_nul_bytes_count_once_a_line(tmp_path: Path) -> None:
    twice = b"\x1b[31mred\x1b[0m and \x1b[32mgreen\x1b[0m"
    reading = read(tmp_path, b"\n".join([twice, b"plain", b"a\0b\0c", twice, b"\x1bno colour", b"\0", twice]))
    assert (reading.bytes.coloured, reading.bytes.nul) == (3, 2)
