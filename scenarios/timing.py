"""What may differ from run to run (rates, memory, machine, versions, date), and the version of the code."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from relaysim.scenarios.runner import Cost

_PACKAGES = ("openai", "httpx2", "redis", "fakeredis", "simpy", "time-machine", "pydantic", "scipy", "joblib")
_ROOMS = ("relay", "reports", "scenarios", "sim")


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def code_version() -> str:
    """The package's version and 12 hexadecimal digits of all its sources, scenarios and profiles.

    Read once: what this process has loaded stays what it is, whatever becomes of the files.
    """
    root = Path(__file__).resolve().parent.parent
    digest = sha256()
    for room in _ROOMS:
        files = [
            each for suffix in ("*.py", "*.toml") for each in (root / room).rglob(suffix) if "out" not in each.parts
        ]
        for file in sorted(files, key=lambda each: each.relative_to(root).as_posix()):
            digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return f"{_version('relaysim') or '0'}+{digest.hexdigest()[:12]}"


@cache
def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def timing(costs: dict[str, Cost], *, jobs: int, of: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The content of `timing.json`: per scenario and in all, how long and how fast; and where, when and with what.

    `peak_memory_bytes` adds up the peaks of all processes. `of` says what was run under a name, as `earlier_seconds` asks.
    """
    total = Cost()
    for cost in costs.values():
        total.add(cost)
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "jobs": jobs,
        "replications": total.replications,
        "seconds": round(total.seconds, 3),
        "replications_per_second": _rate(total),
        "peak_memory_bytes": total.peak_bytes,
        "scenarios": {
            name: {
                "replications": cost.replications,
                "seconds": round(cost.seconds, 3),
                "replications_per_second": _rate(cost),
                **({"of": of[name]} if of is not None and name in of else {}),
            }
            for name, cost in costs.items()
        },
        "machine": {"cpus": os.cpu_count(), "cpus_usable": cores(), "platform": platform.platform()},
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": {package: version for package in _PACKAGES if (version := _version(package))},
    }


def earlier_seconds(folder: Path, of: Mapping[str, str]) -> dict[str, float]:
    """What a world took in the last run that left its `timing.json` here, in seconds of one process, by the names of `of`.

    Args:
        folder: of results; with several runs in it, the latest counts.
        of: what is to be run under each name; what was something else then is left out, and so is what cannot be read.
    """
    from relaysim.reports.runs import LATEST

    found: dict[str, float] = {}
    for place in (folder / LATEST, folder):
        try:
            read = json.loads((place / "timing.json").read_text(encoding="utf-8"))
            for name, what in of.items():
                entry = read["scenarios"].get(name)
                if entry is not None and entry.get("of") == what and entry["replications"] > 0:
                    found[name] = float(entry["seconds"]) * int(read["jobs"]) / int(entry["replications"])
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            continue
        break
    return found


def _rate(cost: Cost) -> float:
    return round(cost.replications / cost.seconds, 1) if cost.seconds else 0.0
