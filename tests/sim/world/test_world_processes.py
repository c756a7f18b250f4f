"""Each life of a worker is a process of its own: its modules, environment and logging begin anew, and no world sees
another's."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest
from world_bench import run, settings, told

from relaysim.sim.process import Isolation, WorkerProcesses, running_process
from relaysim.sim.world import FactoryError, Result, Session, resolve


@pytest.fixture(autouse=True)
def _session() -> Iterator[None]:
    with Session():
        yield


TO_BOTH = {
    "messages": [{"at_seconds": at, "worker": worker} for at, worker in ((1, 1), (4, 2), (7, 2), (12, 1))],
    "redeliver_seconds": None,
}
RESTART = [{"kind": "crash", "workers": [1], "at_seconds": 9.0, "seconds": 1.0}]


def _sent(result: Result) -> list[tuple[str, str]]:
    return [(entity, text) for _, entity, _, _, _, text in told(result, "send")]


def _memory(known: int, *, lines: int) -> str:
    lasting = {"lives": "|", "path": 1, "records": 1, "handlers": 1}
    return str({"known": known, "queue": known, "priced": known, "lines": lines} | lasting)


def _lives() -> list[tuple[str, str]]:
    first, second = _memory(1, lines=1), _memory(2, lines=2)
    return [("w1", first), ("w2", first), ("w2", second), ("w1", first)]


def test_what_a_module_keeps_is_one_workers_and_one_lifes() -> None:
    """A dictionary, a queue, a lock that its holder died with, a semaphore, a cache, a context variable, a client, the
    environment, the import path, handlers and a factory of log records: the worker that has restarted finds none."""
    result = run(settings("memory_bot:make", workload=TO_BOTH, host_faults=RESTART))
    assert _sent(result) == _lives()


def test_worlds_do_not_touch_each_other_nor_this_process() -> None:
    made = settings("memory_bot:make", workload=TO_BOTH, host_faults=RESTART)
    mine = importlib.import_module("circle_shop")
    before = (dict(os.environ), sys.path[:], [*logging.getLogger().handlers], logging.getLogRecordFactory())
    redis_handlers = logging.getLogger("redis").handlers[:]
    try:
        alone = run(made, seed=3)
        between = run(settings("circle_shop:make", workload=TO_BOTH), seed=1)
        again = run(made, seed=3)
        assert sys.modules["circle_shop"] is mine
        assert mine.served == 0
    finally:
        for name in ("circle_shop", "circle_shop.orders", "circle_shop.prices"):
            del sys.modules[name]
    assert again == alone
    assert between.fingerprint != alone.fingerprint
    assert before == (dict(os.environ), sys.path[:], [*logging.getLogger().handlers], logging.getLogRecordFactory())
    assert logging.getLogger("redis").handlers == redis_handlers
    assert "shop.memory" not in logging.Logger.manager.loggerDict
    assert not {"memory_bot", "circle_shop", "circle_shop.late"} & sys.modules.keys()


def test_packages_with_circles_and_late_imports_are_whole() -> None:
    result = run(settings("circle_shop:make", workload=TO_BOTH, host_faults=RESTART))
    assert _sent(result) == [("w1", "1 1 1"), ("w2", "1 1 1"), ("w2", "2 2 2"), ("w1", "1 1 1")]


def test_a_module_is_loaded_as_code_of_its_worker() -> None:
    """At the virtual instant of its start, and what it logs is told of the worker."""
    logged = told(run(settings("memory_bot:make_and_tell", workload=TO_BOTH, host_faults=RESTART)), "log")
    assert [(at, entity, text) for at, entity, _, _, level, text, _ in logged if level == "WARNING"] == [
        (0.0, "w1", "loaded at 0.0"),
        (0.0, "w2", "loaded at 0.0"),
        (10.0, "w1", "loaded at 10.0"),
    ]


def _bot(folder: Path, name: str, source: str) -> None:
    (folder / f"{name}.py").write_text(textwrap.dedent(source), "utf-8")


def test_a_library_is_loaded_once_and_outside_the_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the first world would draw what the second does not."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "site-packages").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "site-packages")
    _bot(
        tmp_path / "site-packages",
        "lazy_library",
        """
        import logging, random, time
        import lazy_library_inside
        logging.getLogger(__name__).warning("loading")
        LOADED_AT, NUMBER, asked = time.monotonic(), random.random(), []
        """,
    )
    # A circle of imports comes back to a lock of the import system that it holds already.
    _bot(tmp_path / "site-packages", "lazy_library_inside", "import lazy_library")
    _bot(
        tmp_path,
        "lazy_bot",
        """
        import random, time
        class Bot:
            def __init__(self, send): self.send = send
            async def handle(self, message):
                import lazy_library
                lazy_library.asked.append(message.id)
                early = time.monotonic() == lazy_library.LOADED_AT
                await self.send(message.conversation, f"{early} {random.random()} {len(lazy_library.asked)}")
        def make(client, redis, send): return Bot(send)
        """,
    )
    made = settings("lazy_bot:make", workload=TO_BOTH)
    first, second = _sent(run(made)), _sent(run(made))
    assert [text.split()[:2] for _, text in first] == [text.split()[:2] for _, text in second]
    assert [text.split()[2] for _, text in [*first, *second]] == [*"12345678"]  # what a library keeps is shared
    assert {text.split()[0] for _, text in first} == {"False"}
    del sys.modules["lazy_library"], sys.modules["lazy_library_inside"]


def test_a_thread_that_loads_a_package_whose_parts_import_each_other_does_not_wait_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "site-packages" / "lazy_package"
    package.mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path / "site-packages")
    _bot(package, "__init__", "from lazy_package.part import name")
    _bot(package, "part", "import lazy_package.other; name = lazy_package.other.name")
    _bot(package, "other", "from lazy_package import part; name = 'whole'")
    _bot(
        tmp_path,
        "plain_lazy_bot",
        """
        class Bot:
            def __init__(self, send): self.send = send
            def handle(self, message):
                import lazy_package
                self.send(message.conversation, lazy_package.name)
        def make(client, redis, send): return Bot(send)
        """,
    )
    assert [text for _, text in _sent(run(settings("plain_lazy_bot:make")))] == ["whole"]
    for name in ("lazy_package", "lazy_package.part", "lazy_package.other"):
        del sys.modules[name]


def test_a_changed_file_is_compiled_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    source = """
        class Bot:
            def __init__(self, send): self.send = send
            async def handle(self, message): await self.send(message.conversation, "{text}")
        def make(client, redis, send): return Bot(send)
        """
    told_texts = []
    for text in ("first", "the second"):
        _bot(tmp_path, "changing_bot", source.format(text=text))
        told_texts += [text for _, text in _sent(run(settings("changing_bot:make")))]
    assert told_texts == ["first", "the second"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import no_such_thing_at_all", "importing broken_bot failed: No module named 'no_such_thing_at_all'"),
        ("raise LookupError('no key')", "importing broken_bot failed: LookupError: no key"),
        ("def mak(): ...", "broken_bot has no 'make'; did you mean mak?"),
    ],
)
def test_a_module_that_cannot_be_loaded_leaves_nothing_behind(
    source: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    _bot(tmp_path, "broken_bot", source)
    finders, modules = sys.meta_path[:], {*sys.modules}
    for use in (lambda: run(settings("broken_bot:make")), lambda: resolve("broken_bot:make")):
        with pytest.raises(FactoryError) as raised:
            use()
        assert str(raised.value) == f"factory 'broken_bot:make': {said}"
    assert sys.meta_path == finders
    assert {*sys.modules} == modules


def test_threads_beside_the_worlds_are_none_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watchdog reads files, and an executor's thread imports, at moments that have nothing to do with any world: that
    neither reaches a worker's files and modules, nor decides whose code runs once it is done."""
    monkeypatch.syspath_prepend(tmp_path)
    _bot(tmp_path, "by_a_thread", "KNOWN = 1")
    (tmp_path / "seen").write_text("real", "utf-8")
    inside, leave = threading.Event(), threading.Event()
    read = list[str]()

    def wait(path: str, flags: int) -> int:
        inside.set()
        assert leave.wait(30)
        return os.open(path, flags)

    def beside() -> None:
        with open(tmp_path / "seen", opener=wait) as file:
            read.append(file.read())
        importlib.import_module("by_a_thread")

    thread = threading.Thread(target=beside)

    def begin() -> None:
        with open(tmp_path / "seen", "w") as file:  # noqa: PTH123
            file.write("a worker's")
        thread.start()
        assert inside.wait(30)

    processes = WorkerProcesses("memory_bot")
    life = processes.begin("w1")
    try:
        life.run(begin)
        leave.set()
        thread.join()
        assert running_process() is None
        assert read == ["real"]
        assert life.names == set()
        assert sys.modules.pop("by_a_thread").KNOWN == 1
    finally:
        processes.close()


def test_the_script_that_runs_is_no_place_for_a_factory() -> None:
    with pytest.raises(FactoryError, match="put it into a module of its own"):
        run(settings("__main__:make"))


def test_nothing_is_left_for_the_end_of_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    _bot(
        tmp_path,
        "tidy_bot",
        """
        import atexit, signal
        from atexit import register
        def leave(*_): raise SystemExit("never")
        atexit.register(leave)
        @register
        def leave_too(): leave()
        signal.signal(signal.SIGTERM, leave)
        def make(client, redis, send): return type("Bot", (), {"handle": leave})()
        """,
    )
    import atexit
    import signal

    handler, count = signal.getsignal(signal.SIGTERM), atexit._ncallbacks()  # type: ignore[attr-defined]
    resolve("tidy_bot:make")
    assert signal.getsignal(signal.SIGTERM) is handler
    assert atexit._ncallbacks() == count  # type: ignore[attr-defined]


def test_a_life_that_is_over_leaves_no_memory_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the last world has left goes before the next one is made. What that misses, as where code under test has
    collected garbage itself, goes after many worlds, or before that if lives load much."""

    def left_by(worlds: int) -> int:
        for _ in range(worlds):
            run(settings("memory_bot:make", workload=TO_BOTH, host_faults=RESTART))
        return sum(type(each) is ModuleType and each.__name__ == "memory_bot" for each in gc.get_objects())

    gc.collect()
    assert left_by(3) == 3  # of the last world
    monkeypatch.setattr("relaysim.sim.world.session.Session.collect_last_world", lambda session: None)
    gc.collect()
    assert left_by(3) == 9
    monkeypatch.setattr("relaysim.sim.world.session._LOOK_EVERY", 1)
    monkeypatch.setattr("relaysim.sim.world.session._GROWTH_BYTES_MAX", -1)
    assert left_by(3) == 3  # of the last world, which has just ended
    gc.collect()
    assert left_by(0) == 0


def test_our_relay_keeps_nothing_in_its_modules() -> None:
    """So all workers may share them. Metrics are left out: they count, and nothing reads them to decide anything."""
    crash = [{"kind": "crash", "at_seconds": 2.5, "seconds": 1.0}]
    before = None
    for factory in ("drain", "cancel_and_retry", "check_then_act") * 2:
        made = settings(f"relaysim.relay:{factory}", 1.0, 1.5, 90.0, host_faults=crash, limit_seconds=200.0)
        assert told(run(made), "send")
        state = _relay_state()
        assert before is None or state == before
        before = state if factory == "check_then_act" else before  # now each has been used once
    assert before is not None


def _relay_state() -> dict[str, dict[str, Any]]:
    return {
        name: {key: _kept(value, 4) for key, value in vars(module).items()}
        for name, module in sys.modules.items()
        if name.startswith("relaysim.relay") and not name.startswith("relaysim.relay.telemetry")
    }


def _kept(value: Any, depth: int) -> Any:
    """What of a value could remember something: containers, caches, defaults of functions, attributes of classes."""
    if depth == 0 or isinstance(value, ModuleType):
        return id(value)
    if isinstance(value, dict):
        return {key: _kept(each, depth - 1) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_kept(each, depth - 1) for each in value]
    if hasattr(value, "cache_info"):
        return value.cache_info()
    if isinstance(value, FunctionType):
        return [_kept(value.__defaults__, depth - 1), _kept(value.__kwdefaults__, depth - 1)]
    owner = value if isinstance(value, type) else type(value)
    if owner.__module__.startswith("relaysim.relay") and hasattr(value, "__dict__"):
        return {key: _kept(each, depth - 1) for key, each in vars(value).items()}
    return value if isinstance(value, str | int | float) else id(value)


def test_an_interrupt_while_it_is_installed_leaves_nothing_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a later world would find some of it there, take all of it for installed, and wait on real locks."""

    def interrupted(running: Any) -> None:
        raise KeyboardInterrupt

    real_open, real_lock = open, threading.Lock
    with Isolation() as isolation:
        with monkeypatch.context() as patch:
            patch.setattr("relaysim.sim.process.worker_process.install_threads", interrupted)
            with pytest.raises(KeyboardInterrupt):
                isolation.put_in_place()
        assert (open, threading.Lock) == (real_open, real_lock)
        isolation.put_in_place()
        assert threading.Lock is not real_lock
    assert (open, threading.Lock) == (real_open, real_lock)
