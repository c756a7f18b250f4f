"""`python -m tests.benchmarks.fit [MEGABYTES]`: how fast `relaysim fit` reads a log, and in how much memory.

Three logs of that size (default 400 MB): one that is almost all other programs' lines, with a conflict in about every 80 kB;
one of other programs' JSON, with an `"event"` in every line; and one of the relay's own lines alone. Rates are megabytes
per second of CPU time, of one process; the log lies in the page cache. Memory is measured in a process of its own (Linux),
for a tenth of the log and for all of it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from relaysim.relay.log_lines import WITH_SYMBOLS

GOAL_MEGABYTES_PER_SECOND = 200.0
ROUNDS = 3

_MEMORY = """
import re, sys
from pathlib import Path
from relaysim.scenarios.fit.reading import read_logs
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
before = peak()
read_logs([sys.argv[1]])
print(before, peak())
"""


def _stamp(number: int) -> str:
    seconds, thousandths = divmod(number * 7, 1000)
    return f"2025-11-04T{seconds // 3600 % 24:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{thousandths:03}Z"


def _conflict(number: int) -> Iterator[str]:
    run = f"run_{number:024}"
    yield WITH_SYMBOLS.active_run_detected % (1, 3)
    yield WITH_SYMBOLS.attempting_to_cancel % run
    yield WITH_SYMBOLS.cancellation_requested % run
    yield WITH_SYMBOLS.waiting % 2000
    yield WITH_SYMBOLS.created % 2


def _sparse(size: int) -> Iterator[bytes]:
    written = number = 0
    while written < size:
        lines = [
            f"{_stamp(number + each)} INFO  [http] GET /webhook/{each} 200 {each % 97}ms ua=okhttp/4.{each % 12} ok: ação"
            for each in range(1000)
        ]
        lines += [f"{_stamp(number + 1000)} {line}" for line in _conflict(number)]
        number += 1000
        part = ("\n".join(lines) + "\n").encode()
        written += len(part)
        yield part


def _foreign_events(size: int) -> Iterator[bytes]:
    written = number = 0
    while written < size:
        lines = [
            f'{{"timestamp": "{_stamp(number + each)}", "level": "info", "event": "request_finished", "path": "/{each}", '
            f'"status": 200, "milliseconds": {each % 97}}}'
            for each in range(1000)
        ]
        number += 1000
        part = ("\n".join(lines) + "\n").encode()
        written += len(part)
        yield part


def _dense(size: int) -> Iterator[bytes]:
    written = number = 0
    while written < size:
        lines = []
        for each in range(200):
            lines += [f"{_stamp(number)} {line}" for line in _conflict(number + each)]
        number += 200
        part = ("\n".join(lines) + "\n").encode()
        written += len(part)
        yield part


def _write(path: Path, parts: Iterator[bytes]) -> float:
    with path.open("wb") as file:
        file.writelines(parts)
    return path.stat().st_size / 1e6


def _rate(path: Path, megabytes: float) -> list[float]:
    from relaysim.scenarios.fit.reading import read_logs

    rates = []
    for _ in range(ROUNDS):
        began = time.process_time()
        read_logs([str(path)])
        rates.append(megabytes / (time.process_time() - began))
    return sorted(rates)


def _growth(path: Path) -> float:
    """Megabytes by which the reading process grew."""
    done = subprocess.run([sys.executable, "-c", _MEMORY, str(path)], check=True, capture_output=True, text=True)
    before, after = map(int, done.stdout.split())
    return (after - before) / 1024


def main(megabytes: int) -> None:
    """Print everything."""
    print(f"Reading logs, MB per second of CPU time, {ROUNDS} rounds: median (least - greatest)")
    medians = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, parts in (("other lines", _sparse), ("other events", _foreign_events), ("the relay's lines", _dense)):
            path = Path(folder) / "relay.log"
            # A log of nothing but the relay's lines is read ten times more slowly: a tenth will do.
            size = megabytes * 1_000_000 // (1 if parts is _sparse else 10)
            written = _write(path, parts(size))
            rates = _rate(path, written)
            medians[name] = rates[ROUNDS // 2]
            print(f"  {name:24}{medians[name]:8,.0f}  ({rates[0]:,.0f} - {rates[-1]:,.0f}), {written:,.0f} MB")
            small = Path(folder) / "small.log"
            _write(small, parts(size // 10))
            print(f"  {'':24}memory grew by {_growth(small):.0f} MB for a tenth, {_growth(path):.0f} MB for all of it")
    reached = "reached" if medians["other lines"] >= GOAL_MEGABYTES_PER_SECOND else "missed"
    print(f"  -> other lines: {medians['other lines']:,.0f} MB/s   goal {GOAL_MEGABYTES_PER_SECOND:g}: {reached}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
