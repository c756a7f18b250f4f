"""Why a seed can give two worlds: each cause in words, which readings show it, and what to do about it."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from relaysim.scenarios.determinism.readings import Kind

CauseName = Literal[
    "real time",
    "entropy",
    "hash order",
    "address order",
    "kept state",
    "file",
    "environment",
    "process",
    "thread",
    "unknown",
]


class Cause(NamedTuple):
    """`words` finish the sentence "It is ...", `remedy` is a sentence; `kinds` are the readings that show it."""

    words: str
    remedy: str
    kinds: tuple[Kind, ...]


CAUSES: Final[dict[CauseName, Cause]] = {
    "real time": Cause(
        "real time, read past the virtual clocks",
        "Take the time from `time.monotonic()`, `time.time()`, `datetime.now()` or the running loop, which are virtual in a "
        "world; what a library reads while it is loaded is real, and so is what C code asks itself (`resource.getrusage`).",
        ("clock",),
    ),
    "entropy": Cause(
        "entropy that no seed decides",
        "Draw from the functions of `random`, `secrets` and `uuid` in the handling, which a world seeds, or give a "
        "generator of your own a seed in the factory.",
        ("entropy",),
    ),
    "hash order": Cause(
        "an order that PYTHONHASHSEED decides, another one in each process",
        "Put the elements in order with sorted(...), or keep them in a dict or a list; for a stable number of a text, use "
        "`zlib.crc32` or `hashlib` in place of hash().",
        ("hash",),
    ),
    "address order": Cause(
        "an order that addresses in memory decide",
        "Keep the objects in a dict or a list, or sort them by something that they carry; `id()` is another number each "
        "time.",
        ("address",),
    ),
    "kept state": Cause(
        "what earlier worlds left in a library's module, class or cache",
        "Make it in the factory, so that each worker has its own and each world begins without any; modules of your own are "
        "loaded anew for each worker, those of libraries are not.",
        (),
    ),
    "file": Cause(
        "a file that something else changes",
        "What a worker writes is its own and goes with its world; what another program writes is there for all. Keep it in "
        "Redis, or let a setting of the factory's name a file that stays as it is.",
        ("file",),
    ),
    "environment": Cause(
        "the environment: variables that differ between machines",
        "Take it as a setting of the factory's, with a value that the scenario gives.",
        ("environment",),
    ),
    "process": Cause(
        "the number of the process or of a thread",
        "Take the worker's name from a setting of the factory's, or draw one from `uuid`.",
        ("process",),
    ),
    "thread": Cause(
        "a thread, which runs when the operating system lets it",
        "Do its work in a task (`asyncio.create_task`) that the handling or `serve` starts.",
        ("thread",),
    ),
    "unknown": Cause(
        "something that the doctor cannot name",
        "Look for what a C extension reads by itself, and for files that another program writes.",
        (),
    ),
}
