"""Goal: `doctor` names what makes a seed two worlds, with file and line, and accuses nobody else.

Method: small relays that are each wrong in one way, and others that only look as if they were; a comment marks the line to
be named. Every process runs them all. What a parting and a reading mean is asked of worlds written by hand.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from scenario_stand_ins import SMALL, write

from relaysim.scenarios.cli import main
from relaysim.scenarios.determinism import examination, kept_state, set_orders
from relaysim.scenarios.determinism.causes import CAUSES as ALL_CAUSES
from relaysim.scenarios.determinism.causes import CauseName
from relaysim.scenarios.determinism.evidence import Evidence, Place
from relaysim.scenarios.determinism.examination import (
    AGAIN,
    ELSEWHERE,
    FRESH,
    HASHED,
    LATER,
    OPPOSITE,
    WAYS,
    Examination,
    Finding,
    Subject,
    examine,
)
from relaysim.scenarios.determinism.fresh_process import Ending, FreshProcess, Job, WorldToRun
from relaysim.scenarios.determinism.readings import Kind, Reading, decided_by
from relaysim.scenarios.determinism.traces import Difference, first_difference, packed
from relaysim.scenarios.load import load
from relaysim.sim.trace.schema import TextSent

HEAD = """
import asyncio
import datetime
import os
import platform
import random
import resource
import socket
import ssl
import threading
import time
import uuid
from functools import lru_cache


class Bot:
    def __init__(self, send):
        self.send = send

    async def handle(self, message):
        await self.send(message.conversation, str(await self.text(message)))


def make(openai_client, redis_client, send):
    Bot.client = openai_client
    return Bot(send)

"""

WRONG = {
    "set_of_texts": """
async def text(self, message):
    names = {f"{name}-{message.id}" for name in "abcdefghij"}
    chosen = []
    for name in names:  # here
        chosen.append(name)
    return chosen
""",
    "joined_set": """
def tags(message):
    return set("one two three four five six seven eight nine".split())

async def text(self, message):
    return " ".join(tags(message))  # here
""",
    "silent_metadata": """
async def text(self, message):
    tags = {"north", "south", "east", "west", "up", "down"}
    chosen = [tag for tag in tags]  # here
    await self.client.beta.threads.create(metadata={"tag": chosen[0]})
    return "Done"
""",
    "hashed_text": """
async def text(self, message):
    return hash(message.id)  # here
""",
    "processor_time": """
async def text(self, message):
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime  # here
""",
    "entropy": """
async def text(self, message):
    return ssl.RAND_bytes(8).hex()  # here
""",
    "early_generator": """
import early_library

async def text(self, message):
    return early_library.GENERATOR.randint(0, 10**9)  # here
""",
    "address": """
async def text(self, message):
    return id(message)  # here
""",
    "kept": """
import keeping_library

async def text(self, message):
    return keeping_library.count()
""",
    "file": """
async def text(self, message):
    with open("/proc/sys/kernel/random/uuid") as changing:  # here
        return changing.read()
""",
    "home": """
async def text(self, message):
    return os.environ["HOME"]  # here
""",
    "thread": """
import threaded_library

async def text(self, message):
    return threaded_library.SEEN[-1]
""",
    "date_of_import": """
import dated_library

async def text(self, message):
    return dated_library.YEAR
""",
}

CAUSES: dict[str, CauseName] = {
    "set_of_texts": "hash order",
    "joined_set": "hash order",
    "silent_metadata": "hash order",
    "hashed_text": "hash order",
    "processor_time": "real time",
    "entropy": "entropy",
    "early_generator": "entropy",
    "address": "address order",
    "kept": "kept state",
    "file": "file",
    "home": "environment",
    "thread": "thread",
    "date_of_import": "real time",
}

IN_LIBRARIES = {
    "kept": ("keeping_library.py", 2),
    "date_of_import": ("dated_library.py", 4),
    "thread": ("threaded_library.py", 12),
}
"""Where the cause is not the relay's own line."""

RIGHT = {
    "dictionary": """
async def text(self, message):
    return list({name: len(name) for name in ("one", "two", "three")})
""",
    "sorted_set": """
async def text(self, message):
    names = {"one", "two", "three", message.id}
    return sorted(names), len(names), "two" in names, list({3, 1, 2})
""",
    "random_module": """
async def text(self, message):
    return random.random(), random.choice("abc"), random.Random().random(), random.Random(4).random()
""",
    "uuids": """
async def text(self, message):
    return uuid.uuid4(), uuid.uuid1(), os.urandom(4), os.getrandom(4)
""",
    "names_of_the_process": """
async def text(self, message):
    return os.getpid(), os.getppid(), socket.gethostname(), platform.node(), os.uname().nodename, time.process_time()
""",
    "time_of_day": """
async def text(self, message):
    return datetime.datetime.now(), time.time(), time.monotonic(), time.perf_counter_ns(), datetime.date.today()
""",
    "cached": """
@lru_cache
def shout(word):
    return word.upper()

async def text(self, message):
    return shout("hello"), shout(message.id)
""",
    "early_clock": """
import early_library

def stamp(clock=time.monotonic):
    return clock()

async def text(self, message):
    return stamp(), early_library.stamp()
""",
    "own_file": """
FILE = os.path.join(os.path.dirname(__file__), "seen.txt")

async def text(self, message):
    with open(FILE, "a+") as seen:
        seen.write("x")
        return seen.tell()
""",
    "gathered": """
async def number(value):
    await asyncio.sleep(0.01 * value)
    return value

async def text(self, message):
    return await asyncio.gather(*(number(value) for value in range(5)))
""",
    "number_of_thread": """
async def text(self, message):
    return threading.get_ident(), await asyncio.to_thread(threading.get_ident)
""",
    "counting_addresses": """
async def text(self, message):
    seen = {id(message): 1, id(self): 2}
    return len(seen), hash(7), bool(threading.get_ident()), len(os.environ["HOME"]) > 0
""",
}

LIBRARIES = {
    "dated_library": """
import datetime

YEAR = datetime.date.today().year
""",
    "threaded_library": """
import threading
import time

SEEN = [0]

def count():
    while True:
        SEEN.append(time.perf_counter_ns())
        time.sleep(0.001)

threading.Thread(target=count, daemon=True).start()
""",
    "early_library": """
import random
import time

GENERATOR = random.Random()

def stamp(clock=time.perf_counter):
    return clock()
""",
    "keeping_library": """
COUNTS = {}

def count():
    COUNTS["calls"] = COUNTS.get("calls", 0) + 1
    return COUNTS["calls"]
""",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The relays and their libraries, which can be imported."""
    made = tmp_path_factory.mktemp("relays")
    libraries = made / "site-packages"
    libraries.mkdir()
    for name, source in LIBRARIES.items():
        (libraries / f"{name}.py").write_text(source, encoding="utf-8")
    for name, source in {**WRONG, **RIGHT}.items():
        (made / f"doctored_{name}.py").write_text(f"{HEAD}{source}\n\nBot.text = text\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        for path in (libraries, made):
            patch.syspath_prepend(str(path))
        yield made
    for name in list(sys.modules):
        if name.startswith("doctored_") or name in LIBRARIES:
            del sys.modules[name]


@pytest.fixture(scope="module")
def subjects(folder: Path) -> list[Subject]:
    """All relays, each in a scenario of its own."""
    made = []
    for name in (*WRONG, *RIGHT):
        text = SMALL.replace('"small"', f'"{name}"').replace("relaysim.relay:cancel_and_retry", f"doctored_{name}:make")
        made.append(Subject(load(write(folder, text, f"{name}.toml"), check_relay=False), "direct"))
    return made


@pytest.mark.soak
def test_each_cause_is_named_with_its_line_and_nobody_else_is_accused(subjects: list[Subject], folder: Path) -> None:
    examined = examine(subjects, seeds=1, at_once=2, hash_seeds=(2,))
    found: dict[str, list[Finding]] = {name: [] for name in (*WRONG, *RIGHT)}
    for each in examined.findings:
        found[each.subject.scenario.name].append(each)
    assert {name: [each.cause for each in its] for name, its in found.items()} == {
        **{name: [cause] for name, cause in CAUSES.items()},
        **{name: [] for name in RIGHT},
    }
    for name in WRONG:
        (finding,) = found[name]
        assert (name, finding.difference is not None) == (name, True)
        assert (finding.places[0].file, finding.places[0].line) == place_of(name, folder)
    (kept,) = found["kept"]
    assert kept.places[0].what == "`COUNTS` held 0 entries, and then 1 entries"
    ways = {name: its[0].ways for name, its in found.items() if its}
    assert (ways["set_of_texts"], ways["home"], ways["date_of_import"]) == ((HASHED,), (ELSEWHERE,), (LATER,))
    assert AGAIN in ways["kept"]


def place_of(name: str, folder: Path) -> tuple[str, int]:
    """The file and the line to be named of a wrong relay."""
    if name in IN_LIBRARIES:
        file, line = IN_LIBRARIES[name]
        return str(folder / "site-packages" / file), line
    relay = folder / f"doctored_{name}.py"
    (line,) = (number for number, text in enumerate(relay.read_text().splitlines(), 1) if text.endswith("# here"))
    return str(relay), line


@pytest.fixture(scope="module")
def readings(subjects: list[Subject]) -> Mapping[str, Sequence[Reading]]:
    """What is noted of one world of each relay."""
    worlds = [WorldToRun(place, "direct", 0) for place in range(len(subjects))]
    job = Job([each.scenario.to_json() for each in subjects], worlds, watched=frozenset(range(len(worlds))))
    with FreshProcess(job) as process:
        endings = process.endings()
    assert [each.error for each in endings] == [""] * len(worlds)
    return {subjects[each.world.scenario].scenario.name: each.readings for each in endings}


@pytest.mark.parametrize("name", [name for name in WRONG if name != "kept"])
def test_the_line_that_reads_what_is_no_part_of_the_world_is_seen(
    name: str, readings: Mapping[str, Sequence[Reading]], folder: Path
) -> None:
    kinds = ALL_CAUSES[CAUSES[name]].kinds
    assert place_of(name, folder) in [(each.file, each.line) for each in readings[name] if each.kind in kinds]


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_virtual_is_nothing_to_be_noted(name: str, readings: Mapping[str, Sequence[Reading]]) -> None:
    assert [each for each in readings[name] if each.kind in ("clock", "entropy", "thread")] == []


# What a parting means


def ending(text: str = "a", seed: int = 0, *noted: Reading, kept: Sequence[kept_state.Kept] = ()) -> Ending:
    """A world in which a worker sends this text at 1 s."""
    record = (1.0, "w1", "send", TextSent("c1.m1#1", "c1", text))
    return Ending(WorldToRun(0, "direct", seed), text, packed([record]), readings=noted, kept=kept)


def noted(kind: Kind, value: str = "", line: int = 5) -> Reading:
    return Reading(kind, "x", value, "bot.py", line, "handle", True, 0.5, "w1")


KEPT = kept_state.Kept("COUNTS", "library.py", 2, False, "0 entries", "1 entries")


@pytest.mark.parametrize(
    ("parted", "condition", "told"),
    [
        ((), None, ()),
        ((AGAIN,), "state", (AGAIN,)),
        ((OPPOSITE,), "state", (OPPOSITE,)),
        ((HASHED,), "hash", (HASHED,)),
        ((LATER,), "date", (LATER,)),
        ((ELSEWHERE,), "place", (ELSEWHERE,)),
        ((AGAIN, FRESH, HASHED), "noise", (AGAIN, FRESH, HASHED)),
    ],
)
def test_the_condition_in_which_a_way_differs_is_to_blame(
    parted: Sequence[str], condition: str | None, told: Sequence[str]
) -> None:
    others = [(way, 3 if way == HASHED else 1, [ending("b" if way in parted else "a", 7)]) for way in WAYS]
    first = ending("a", 7)
    found = list(examination._suspicions(1, examination._Survey([first], others), {first.world: first}))
    assert [(each.condition, each.ways) for each in found] == ([] if condition is None else [(condition, told)])
    if condition is not None:
        assert (found[0].world.seed, found[0].hash_seed) == (7, 3 if condition == "hash" else 1)


class Processes:
    """Takes the place of processes: what a world comes to depends on the one thing that its relay looks at."""

    def __init__(self, looks_at: Mapping[int, str]) -> None:
        self.looks_at = looks_at
        self.started: list[Job] = []

    def __call__(self, jobs: Sequence[Job], at_once: int, done: Any = None) -> list[list[Ending]]:
        self.started += jobs
        return [[self.ended(job, place) for place in range(len(job.worlds))] for job in jobs]

    def ended(self, job: Job, place: int) -> Ending:
        world = job.worlds[place]
        number = self.started.index(job)
        seen = {
            "nothing": 0,
            "hash": job.hash_seed,
            "date": job.conditions.clock == "ahead",
            "environment": job.elsewhere,
            "state": [each.seed for each in job.worlds[:place] if each.scenario == world.scenario],
            "chance": (number, place),
        }[self.looks_at[world.scenario]]
        text = f"{world.seed} {seen}"
        record = (1.0, "w1", "send", TextSent("c1.m1#1", "c1", text))
        return Ending(world, text, packed([record]))


@pytest.mark.parametrize(
    ("looks_at", "causes", "processes"),
    [
        ("nothing", {}, 5),
        ("hash", {"hash order": (HASHED,)}, 11),
        ("date", {"real time": (LATER,)}, 9),
        ("environment", {"environment": (ELSEWHERE,)}, 9),
        ("state", {"kept state": (AGAIN, OPPOSITE)}, 9),
        ("chance", {"unknown": WAYS}, 17),
    ],
)
def test_ways_share_processes_until_a_world_parts_and_then_each_is_looked_at_alone(
    looks_at: str,
    causes: dict[str, tuple[str, ...]],
    processes: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Beside a relay in which nothing parts, which is not run again."""
    given = Processes({0: looks_at, 1: "nothing"})
    monkeypatch.setattr(examination, "do_all", given)
    small = load(write(tmp_path), check_relay=False)
    clean = load(write(tmp_path, SMALL.replace('"small"', '"clean"'), "clean.toml"), check_relay=False)
    examined = examine([Subject(small, "direct"), Subject(clean, "direct")], seeds=4, at_once=1)
    found = {each.cause: each.ways for each in examined.findings}
    assert (found, len(given.started)) == (causes, processes)
    assert {each.subject.scenario.name for each in examined.findings} <= {"small"}
    assert [examined.agreed[1, way] for way in WAYS] == [(4, 4)] * len(WAYS)
    hurt = {way for way in WAYS if examined.agreed[0, way][0] < examined.agreed[0, way][1]}
    assert hurt == {way for ways in causes.values() for way in ways}
    first = [job for job in given.started[:5] if not job.watched]
    assert {job.hash_seed for job in first} == {1, 2, 3, 4, 5}
    assert all(any(world.scenario == 1 for world in job.worlds) for job in first)
    assert not any(world.scenario == 1 for job in given.started[5:] for world in job.worlds)


@pytest.mark.parametrize(
    ("condition", "one", "other", "cured", "causes"),
    [
        ("noise", ending("a"), ending("b"), {"clock"}, ("real time",)),
        ("noise", ending("a"), ending("b"), {"entropy", "both"}, ("entropy",)),
        ("noise", ending("a"), ending("b"), {"both"}, ("real time", "entropy")),
        ("noise", ending("a", 0, noted("thread")), ending("b"), {"both"}, ("thread",)),
        ("noise", ending("a", 0, noted("entropy")), ending("b"), {"clock", "entropy", "both"}, ("entropy",)),
        ("noise", ending("a", 0, noted("process"), noted("address")), ending("b"), set(), ("process",)),
        ("noise", ending("a", 0, noted("address")), ending("b"), set(), ("address order",)),
        ("noise", ending("a"), ending("b"), set(), ("unknown",)),
        ("noise", ending("a", 0, noted("entropy")), ending("b"), set(), ("entropy",)),
        ("noise", ending("a", 0, noted("file")), ending("a"), {"clock", "entropy", "both"}, ("file",)),
        ("state", ending("a"), ending("b", kept=[KEPT]), set(), ("kept state",)),
        (
            *("state", ending("a", 0, noted("address", "x, y")), ending("b", 0, noted("address", "y, x"), kept=[KEPT])),
            *(set(), ("address order",)),
        ),
        ("hash", ending("a", 0, noted("hash", "x, y")), ending("b", 0, noted("hash", "y, x")), set(), ("hash order",)),
        (
            *(
                "hash",
                ending("a", 0, noted("hash"), noted("address", "x, y")),
                ending("b", 0, noted("address", "y, x")),
            ),
            *(set(), ("address order",)),
        ),
        ("date", ending("a"), ending("b"), set(), ("real time",)),
        ("place", ending("a"), ending("b"), set(), ("environment",)),
    ],
)
def test_what_cures_and_what_is_seen_decide_about_the_cause(
    condition: str, one: Ending, other: Ending, cured: set[str], causes: tuple[str, ...]
) -> None:
    suspicion = examination._Suspicion(0, condition, (one.world,), (AGAIN,))
    evidence = Evidence(one, other, first_difference(one.trace, other.trace))
    assert examination._causes(suspicion, evidence, cured, parted=one.fingerprint != other.fingerprint) == causes


def test_the_first_order_that_comes_out_otherwise_is_named_or_else_the_last_reading_before_the_parting() -> None:
    same, other_way = noted("hash", "x, y", 3), noted("hash", "y, x", 4)
    one = ending("a", 0, noted("hash", "", 2), same, noted("hash", "x, y", 4))
    evidence = Evidence(one, ending("b", 0, same, other_way), None)
    assert [place.line for place in evidence.places("hash order")] == [4]
    early, late = noted("clock", "", 3), noted("clock", "", 4)._replace(time_seconds=0.9)
    after = noted("clock", "", 5)._replace(time_seconds=1.5)
    elsewhere = noted("clock", "", 6)._replace(time_seconds=0.95, entity="w2")
    one, other = ending("a", 0, early, late, after, elsewhere), ending("b")
    evidence = Evidence(one, other, first_difference(one.trace, other.trace))
    assert [place.line for place in evidence.places("real time")] == [4, 3, 6]


# The command


def examined_as(found: list[Finding], subject: Subject) -> Examination:
    """An examination of one scenario in which everything agreed, or so it says, with these findings."""
    return Examination([subject], 20, {(0, way): (20, 20) for way in WAYS}, found)


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Subject:
    monkeypatch.chdir(tmp_path)
    return Subject(load(write(tmp_path)), "direct")


def test_the_answer_comes_first_and_decides_the_exit_code(
    small: Subject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(examination, "examine", lambda *_, **__: examined_as([], small))
    assert main(["doctor", "small.toml", "--quiet"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "Deterministic: 20 seeds of small agreed in 6 ways."
    place = Place(str(tmp_path / "bot.py"), 17, "handle", "the order of a set of texts", "for tag in tags:")
    difference = Difference(12.4, "w2", "`send` with text 'a'", "`send` with text 'b'")
    finding = Finding(small, "hash order", 3, (HASHED,), difference, (place,))
    monkeypatch.setattr(examination, "examine", lambda *_, **__: examined_as([finding], small))
    assert main(["doctor", "small.toml", "--quiet"]) == 4
    assert capsys.readouterr().out.splitlines()[:3] == [
        "Not deterministic: seed 3 of small parts at 12.4 s, in what `w2` does: one run has `send` with text 'a', another "
        "has `send` with text 'b'.",
        "  It is an order that PYTHONHASHSEED decides, another one in each process. It shows with other hash seeds.",
        "  bot.py line 17, in `handle`: the order of a set of texts: for tag in tags:",
    ]
    assert main(["doctor", "small.toml", "--quiet", "--json"]) == 4
    data = json.loads(capsys.readouterr().out)
    assert (data["deterministic"], data["scenarios"][0]["ways"][HASHED]) == (False, {"agreed": 20, "seeds": 20})
    (told,) = data["findings"]
    assert (told["cause"], told["seed"], told["time_seconds"], told["entity"]) == ("hash order", 3, 12.4, "w2")
    assert told["places"] == [{**place._asdict(), "file": "bot.py"}]


def test_a_relay_none_of_whose_worlds_end_is_no_answer(
    small: Subject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = replace(examined_as([], small), errors={0: "LeavesSimulationError: opening a socket\nwould leave"})
    monkeypatch.setattr(examination, "examine", lambda *_, **__: failed)
    assert main(["doctor", "small.toml", "--quiet"]) == 2
    assert capsys.readouterr().err == (
        "relaysim: small: no world comes to its end: LeavesSimulationError: opening a socket would leave\n"
    )


# What is kept, and where an order comes out


def test_what_a_world_leaves_in_modules_classes_and_caches_is_found_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = (
        "from functools import lru_cache\n"
        "threads = {}\n"
        "fixed = {'a': [1]}\n"
        "class Bot:\n"
        "    seen = []\n"
        "@lru_cache\n"
        "def shout(word): return word.upper()\n"
        "def note(word, memory=[]): memory.append(word)\n"
    )
    (tmp_path / "keeping_bot.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    ours = kept_state.loaded_modules()
    bot = importlib.import_module("keeping_bot")
    before = kept_state.snapshot(ours)
    bot.threads["c1"] = "t1"
    bot.Bot.seen.append(1)
    bot.shout("a")
    bot.note("a")
    bot.note("b")
    found = kept_state.differences(before, kept_state.snapshot(ours))
    monkeypatch.delitem(sys.modules, "keeping_bot")
    assert [(each.what, each.line, each.before, each.after) for each in found] == [
        ("Bot.seen", 5, "0 entries", "1 entries"),
        ("note, default argument", 8, "0 entries", "2 entries"),
        ("shout", 7, "a cache with 0 entries", "a cache with 1 entries"),
        ("threads", 2, "0 entries", "1 entries"),
    ]


@pytest.mark.parametrize(
    ("line", "shows"),
    [
        ("for each in words: pass", True),
        ("[each for each in words]", True),
        ("list(words)", True),
        ("'-'.join(self.words)", True),
        ("next(iter(words))", True),
        ("first, second = words", True),
        ("words.pop()", True),
        ("f'{words}'", True),
        ("call(*words)", True),
        ("for each in words | {'c'}: pass", True),
        ("list(set('ab'))", True),
        ("sorted(words)", False),
        ("sorted(each for each in words)", False),
        ("max(len(each) for each in words)", False),
        ("{each.upper() for each in words}", False),
        ("'a' in words", False),
        ("len(words)", False),
        ("list(ordered)", False),
    ],
)
def test_an_order_comes_out_where_a_set_is_met_and_nowhere_else(line: str, shows: bool, tmp_path: Path) -> None:
    (tmp_path / "line.py").write_text(line, encoding="utf-8")
    namespace = {"words": {"a", "b"}, "ordered": ["a", "b"], "self": SimpleNamespace(words={"a", "b"})}
    frame: Any = SimpleNamespace(f_locals=namespace, f_globals={})
    expressions = set_orders.places(str(tmp_path / "line.py")).get(1, ())
    assert any(set_orders.set_met(each, frame) is not None for each in expressions) is shows


def test_what_decides_about_the_place_in_a_set() -> None:
    class Plain:
        pass

    assert [decided_by(each) for each in ("a", b"a", 1, 2.5, ("a", 1), (1, 2), Plain(), ("a", Plain()), uuid4())] == [
        *("hash", "hash", "", "", "hash", "", "address", "address", ""),
    ]
