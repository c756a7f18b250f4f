"""Goal: a bot's own versions of libraries are what it meets, those of this program stay this program's, and its judging
changes in nothing.

Method: one invented package in two folders, of this program and of the bot, that names its copy however it is come upon:
at import, in functions, by name, in threads, in a circle, and by this program while the bot's copy is in place.
"""

from __future__ import annotations

import builtins
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import orjson
import pytest
from pydantic import ValidationError
from world_bench import run, settings, told

from relaysim.sim.kernel.fence import replace_names
from relaysim.sim.kernel.modules_aside import modules_named
from relaysim.sim.process import LibrariesError, libraries_in
from relaysim.sim.world import Result
from relaysim.sim.world.settings import RelayUnderTest

pytestmark = pytest.mark.usefixtures("one_session")


def _installed(folder: Path, copy: str) -> Path:
    """The invented package as an installer leaves it."""
    package = folder / "twice"
    package.mkdir(parents=True)
    note = folder / f"twice-{copy}.dist-info"
    note.mkdir()
    (note / "METADATA").write_text(f"Metadata-Version: 2.1\nName: twice\nVersion: {copy}\n", "utf-8")
    for name in ("late", "by_name", "lazy"):
        (package / f"{name}.py").write_text(f"COPY = {copy!r}\n", "utf-8")
    (folder / "twice_single.py").write_text(f"COPY = {copy!r}\n", "utf-8")
    init = f"""
        from importlib import import_module, metadata
        from time import sleep
        import sys

        COPY = {copy!r}
        LOADS = sys.__dict__.setdefault("loads_of_twice", [])
        LOADS.append(COPY)

        from twice.left import circle

        def nap():
            sleep(1.0)

        def lazily():
            from .lazy import COPY
            import twice.lazy
            return COPY if twice.lazy.COPY == COPY == import_module(".lazy", __package__).COPY else "mixed"

        def version():
            return metadata.version("twice")

        def __getattr__(name):
            if name != "attribute":
                raise AttributeError(name)
            return import_module("twice.lazy")
    """
    (package / "__init__.py").write_text(dedent(init), "utf-8")
    (package / "left.py").write_text("from twice import right\ndef circle(): return right.name()\n", "utf-8")
    (package / "right.py").write_text(
        "import twice.left\ndef name(): return twice.left.circle and twice.COPY\n", "utf-8"
    )
    return folder


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    here = _installed(tmp_path / "here" / "site-packages", "here")
    monkeypatch.syspath_prepend(here)
    yield here, _installed(tmp_path / "bot's", "bots")
    for name in [name for name in sys.modules if name.partition(".")[0] in ("twice", "twice_single")]:
        del sys.modules[name]
    vars(sys).pop("loads_of_twice", None)


def _world(libraries: Path | None, *at: float, factory: str = "libraries_bot:make", **tables: Any) -> Any:
    made = settings(factory, *at, **tables)
    folder = None if libraries is None else str(libraries)
    return made.model_copy(update={"relay": made.relay.model_copy(update={"libraries": folder})})


def _texts(result: Result) -> list[str]:
    return [each[-1] for each in told(result, "send")]


def _with(copy: str, handled: int = 1) -> str:
    return f"{copy} " * 7 + f"{handled} handled, loaded once"


def test_each_of_several_worlds_meets_the_copy_that_it_names(folders: tuple[Path, Path]) -> None:
    _, bots = folders
    times = []
    messages = [{"at_seconds": at, "worker": worker} for at, worker in ((1.0, 1), (2.0, 2), (3.0, 1))]
    for libraries, copy in ((None, "here"), (bots, "bots"), (bots, "bots"), (None, "here"), (bots, "bots")):
        result = run(_world(libraries, workload={"messages": messages}))
        assert _texts(result) == [_with(copy), _with(copy), _with(copy, 2)]  # each worker has modules of its own
        times.append(told(result, "send")[0][0])
    assert len(set(times)) == 1
    assert times[0] >= 2.0  # `sleep`, bound when the package was loaded, took virtual time in all of them


def test_all_is_in_its_place_again_between_worlds(folders: tuple[Path, Path]) -> None:
    _, bots = folders
    import twice  # type: ignore[import-not-found]

    real = builtins.__import__, list(sys.path)
    before = {name: module for name, module in sys.modules.items() if name.startswith("twice")}
    assert _texts(run(_world(bots, 1.0, workers=1))) == [_with("bots")]
    assert (builtins.__import__, sys.path) == real
    assert {name: module for name, module in sys.modules.items() if name.startswith("twice")} == before
    assert {each.COPY for each in modules_named("twice")} == {"here", "bots"}
    assert twice.lazily() == "here"


def test_a_copy_that_is_not_in_place_gets_substitutes_too(folders: tuple[Path, Path]) -> None:
    """It may have bound a name before, and be in place when code of a world runs."""
    _, bots = folders
    (bots / "twice" / "early.py").write_text("bound = object()\n", "utf-8")
    libraries = libraries_in(str(bots))
    assert libraries is not None
    path = list(sys.path)
    libraries.put(lambda: True, "some_bot")
    try:
        libraries.add_to_path()
        early = libraries.load("twice.early")
    finally:
        sys.path[:] = path
        libraries.take_back()
    real, substitute = early.bound, object()
    restore = replace_names({id(real): (real, substitute)})
    try:
        assert early.bound is substitute
    finally:
        restore()
    assert early.bound is real


def test_code_of_this_program_finds_its_own_meanwhile(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, bots = folders
    (here / "of_here.py").write_text(
        "def ask():\n    import twice, importlib\n    return twice.COPY, twice.lazily(), twice.attribute.COPY, "
        "importlib.import_module('twice.by_name').COPY\n",
        "utf-8",
    )
    bot = """
        import of_here
        def make(openai, redis, send):
            class Bot:
                def handle(self, message):
                    import twice
                    send(message.conversation, " ".join((twice.COPY, *of_here.ask(), twice.COPY)))
            return Bot()
    """
    (here.parent / "asking_bot.py").write_text(dedent(bot), "utf-8")
    monkeypatch.syspath_prepend(here.parent)
    assert _texts(run(_world(bots, 1.0, workers=1, factory="asking_bot:make"))) == ["bots here here here here bots"]


def test_a_compiled_file_that_is_linked_to_this_program_s_is_shared(tmp_path: Path) -> None:
    """The system loads a file once, and some libraries refuse to be loaded from it twice."""
    folder = _installed(tmp_path / "bot", "bots")
    (folder / "orjson").symlink_to(Path(orjson.__file__).parent)
    libraries = libraries_in(str(folder))
    assert libraries is not None
    libraries.put(lambda: True, "some_bot")
    try:
        assert libraries.holds("twice")
        assert not libraries.holds("orjson")
        assert libraries.load("orjson") is orjson
    finally:
        libraries.take_back()
    assert not libraries.holds("twice")


def test_what_the_wrong_folder_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    _installed(tmp_path / "current", "bots")
    monkeypatch.chdir(tmp_path / "current")
    for name, why in (
        ("empty", "holds no packages; name the site-packages"),
        ("file", "is no folder; name the site-packages"),
        ("gone", "there is no such folder; name the site-packages"),
        ("current", "is the folder that this runs in"),
    ):
        with pytest.raises(LibrariesError, match=f"{name}: {why}"):
            libraries_in(str(tmp_path / name))
    assert libraries_in(str(Path(pytest.__file__).parents[1])) is None  # this program's own
    with pytest.raises(ValidationError, match="a relay of this project's has no libraries of its own"):
        RelayUnderTest(factory="relaysim.relay:cancel_and_retry", libraries=str(_installed(tmp_path / "bot", "bots")))
