"""Goal: what a journal says it has, it has: through torn lines, killed writers, lines written twice and foreign lines.

Method: real files; a line is cut at every byte; a writer is a process of its own that is killed between two of its lines.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from scenario_stand_ins import observe, write

from relaysim.scenarios import chunks
from relaysim.scenarios.blocked_loops import BlockTally
from relaysim.scenarios.chunks import CHUNK, Chunk, Journal, JournalError, Key, encode, grid
from relaysim.scenarios.counter_tallies import CounterTally
from relaysim.scenarios.load import load
from relaysim.scenarios.replication_summary import EXACT_MAX, ExceptionTally, Spread, Summary
from relaysim.scenarios.runner import Batch, run_batches

ROOT = Path(__file__).parents[2]
KEY = Key("0123456789abcdef", "0.1.0+abc", 7, "direct")


def chunk(first: int = 0, key: Key = KEY, **summary: Any) -> Chunk:
    return Chunk(key, first, CHUNK, {"replications": CHUNK, **summary})


def told(each: Chunk) -> tuple[Key, int, int, Any]:
    return each.key, each.first, each.count, each.summary


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chunks.jsonl"


def read(path: Path) -> list[Chunk]:
    with Journal(path) as journal:
        return list(journal.chunks())


# Seeds and chunks


def test_seeds_are_cut_at_the_same_places_however_many_there_are() -> None:
    assert list(grid(600)) == [(0, 250), (250, 250), (500, 100)]
    assert list(grid(250)) == [(0, 250)]
    assert list(grid(1)) == [(0, 1)]
    assert list(grid(0)) == []
    assert list(grid(300, first=200)) == [(200, 50), (250, 250)]
    assert list(grid(7, first=248, size=3)) == [(248, 1), (249, 3), (252, 3)]
    assert next(grid(10**30)) == (0, 250)
    for count in (1, 249, 250, 251, 1000, 1234):
        assert sum(each for _, each in grid(count)) == count
        assert set(grid(10_000)) >= {place for place in grid(count) if place[1] == CHUNK}


# Lines


def test_what_was_appended_is_read_again(path: Path) -> None:
    other = Key("0123456789abcdef", "0.1.0+abc", 7, "sdk", ("first-retry", "wait"), "feed")
    written = [chunk(0, counts={"lost": 3}), chunk(250, other), chunk(0, other)]
    with Journal(path) as journal:
        for each in written:
            journal.append(each)
        assert list(map(told, journal.chunks())) == list(map(told, written))
    found = read(path)
    assert list(map(told, found)) == list(map(told, written))
    assert [each.line for each in found] == [1, 2, 3]
    assert len({each.digest for each in found}) == 3


def test_a_line_cut_off_anywhere_is_passed_over_and_never_joins_the_next(path: Path) -> None:
    whole, last, new = encode(chunk(0)), encode(chunk(250)), chunk(500)
    # Without its end a line is still whole; with nothing of it there is no line.
    for cut in range(1, len(last) - 1):
        path.write_bytes(whole + last[:cut])
        with Journal(path) as journal:
            assert [each.first for each in journal.chunks()] == [0]
            assert journal.torn == [2]
            journal.append(new)
            assert [each.first for each in journal.chunks()] == [0, 500]
            assert journal.torn == [2]
        assert path.read_bytes() == whole + last[:cut] + b"\n" + encode(new)


def test_a_line_that_lacks_nothing_but_its_end_counts(path: Path) -> None:
    path.write_bytes(encode(chunk(0))[:-1])
    with Journal(path) as journal:
        journal.append(chunk(250))
        assert [each.first for each in journal.chunks()] == [0, 250]
        assert journal.torn == []


@pytest.mark.parametrize(
    "damaged",
    [
        encode(chunk(250)).replace(b'"first":250', b'"first":500'),
        b"\x00" * 400 + b"\n",
        b"\xff\xfe\n",
        b"[]\n",
        b"17\n",
        b'{"digest": "x"}\n',
        b"[" * 100_000 + b"\n",
        b'{"a": NaN, "digest": "0"}\n',
    ],
)
def test_a_damaged_line_is_passed_over(path: Path, damaged: bytes) -> None:
    path.write_bytes(encode(chunk(0)) + damaged + b"\n" + encode(chunk(750)))
    with Journal(path) as journal:
        assert [each.first for each in journal.chunks()] == [0, 750]
        assert journal.torn == [2]


def test_a_line_may_be_formatted_anew(path: Path) -> None:
    path.write_text(json.dumps(json.loads(encode(chunk(0, value=0.1)))) + "\n")
    assert [told(each) for each in read(path)] == [told(chunk(0, value=0.1))]


def test_a_line_of_another_format_is_not_ours(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as other:
        other.setattr(chunks, "SCHEMA", 2)
        path.write_bytes(encode(chunk(0)))
    with Journal(path) as journal:
        assert list(journal.chunks()) == []
        assert (journal.torn, journal.foreign) == ([], 1)


# Writers

_WRITER = """
import sys
from dataclasses import fields
from pathlib import Path
from relaysim.scenarios.chunks import Chunk, Journal, Key
with Journal(Path(sys.argv[1])) as journal:
    for number in range(10**9):
        journal.append(Chunk(Key("s", "v", 7, "direct"), 250 * number, 250, {"filling": "x" * 20_000}))
        print(number, flush=True)
"""


def writer(path: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True, env=environment
    )


def test_what_a_killed_writer_said_it_had_written_is_there(path: Path) -> None:
    with writer(path) as process:
        assert process.stdout is not None
        said = [int(process.stdout.readline()) for _ in range(20)]
        process.send_signal(signal.SIGKILL)
        said += [int(line) for line in process.stdout if line.endswith("\n")]
    with Journal(path) as journal:
        found = [each.first // CHUNK for each in journal.chunks()]
        assert found == list(range(len(found)))
        assert len(said) <= len(found) <= len(said) + 1
        assert len(journal.torn) <= 1


def test_a_second_process_is_told_and_does_nothing(path: Path) -> None:
    with writer(path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(JournalError) as caught, Journal(path):
            pass
        process.kill()
    assert str(caught.value) == (
        f"{path}: another process is writing it; wait for that one, or name another folder with --out"
    )
    read(path)  # whoever was killed holds nothing any more


def test_a_journal_that_cannot_be_written_says_so(path: Path, tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="cannot be opened: no such file or directory"), Journal(tmp_path / "no/x"):
        pass
    with pytest.raises(JournalError, match="cannot be opened: is a directory"), Journal(tmp_path):
        pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_after_a_failed_write_nothing_is_added(tmp_path: Path) -> None:
    path = tmp_path / "chunks.jsonl"
    path.symlink_to("/dev/full")
    with Journal(path) as journal:
        with pytest.raises(JournalError, match="cannot be written: no space left on device"):
            journal.append(chunk(0))
        with pytest.raises(JournalError, match="after a write that failed"):
            journal.append(chunk(250))


# Summaries


def through_json(summary: Summary) -> Summary:
    return Summary.from_plain(json.loads(json.dumps(summary.to_plain(), allow_nan=False)))


def test_a_summary_goes_through_a_line_and_loses_nothing(tmp_path: Path) -> None:
    small = load(write(tmp_path), check_relay=False)
    batch = Batch("main", small.to_json(), 300, "direct", fingerprints=3, rows=True)
    summary = run_batches([batch], observe=observe)[0]["main"]
    summary.obstacles.add(
        {"raised": {"TypeError in bot.py:7": 2}, "said": {"TypeError in bot.py:7": "no"}, "calm": 3}, 4
    )
    summary.exceptions["LookupError in a task"] = ExceptionTally(3, 7, "no such customer")
    summary.blocked["bot.py:7"] = BlockTally(3, 7, 4, 0.5)
    summary.longest_handling = 24.5
    again = through_json(summary)
    for spread in summary.spreads.values():
        spread.values.sort()  # the one thing in which the order of adding shows
    assert again == summary
    assert again.to_plain() == summary.to_plain()
    assert [each["seed"] for each in again.tallies["transparent"].examples] == [9, 19, 29, 39, 49]


def test_nothing_of_a_summary_is_left_out(tmp_path: Path) -> None:
    small = load(write(tmp_path), check_relay=False)
    batch = Batch("main", small.to_json(), 3, "direct", fingerprints=1, rows=True)
    summary = run_batches([batch], observe=observe)[0]["main"]
    summary.obstacles.add({"unsimulated": ["GET /v1/models (bot.py:7)"]}, 4)
    summary.exceptions["LookupError in a task"] = ExceptionTally(3, 7, "no such customer")
    summary.blocked["bot.py:7"] = BlockTally(3, 7, 4, 0.5)
    summary.longest_handling = 24.5
    summary.counters["model_calls"] = CounterTally()
    for each in (summary.around_replies, summary.beginnings):
        each.add({"conversations": 1, "words": {}, "sentences": []}, 7, "")
    # Traces are compared while a command runs, and no journal keeps them.
    assert set(summary.to_plain()) == {each.name for each in fields(Summary)} - {"traces"}


@pytest.mark.parametrize("values", [[0.1, 0.1, 1 / 3], [2.0, 2.0, 6.0, 0.0], [5e-324, 1e300], []])
def test_durations_are_exact_whatever_they_are(values: list[float]) -> None:
    spread = Spread()
    spread.add(values)
    again = Spread.from_plain(json.loads(json.dumps(spread.to_plain())))
    assert sorted(again.values) == sorted(values)
    assert again.to_dict() == spread.to_dict()


def test_many_durations_stay_as_short_as_they_were() -> None:
    spread = Spread()
    spread.add([value / 7 for value in range(EXACT_MAX + 1)])
    again = Spread.from_plain(json.loads(json.dumps(spread.to_plain())))
    assert again == spread
    assert again.values == []
    again.add([1.0])
    assert again.n == EXACT_MAX + 2


def test_a_line_of_waits_that_are_alike_is_short() -> None:
    spread = Spread()
    spread.add([2.0] * 5000 + [6.0] * 400)
    assert len(json.dumps(spread.to_plain())) < 150
