"""A bot that keeps things in files, by every way there is to one: each message runs the steps that its settings name."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from glob import glob
from os import remove
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DATABASE = HERE / "files_bot.db"
COUNT = Path("files_bot_count.txt")


def count() -> Any:
    """How many messages all lives of this worker have seen."""
    seen = int(COUNT.read_text()) if COUNT.exists() else 0
    COUNT.write_text(str(seen + 1))
    return seen + 1


def database() -> Any:
    with sqlite3.connect(DATABASE) as made:
        made.execute("create table if not exists seen (at)")
        made.execute("insert into seen values (1)")
        return made.execute("select count(*) from seen").fetchone()[0]


def read_only() -> Any:
    database()
    return sqlite3.connect(f"file:{DATABASE}?mode=ro", uri=True).execute("select count(*) > 0 from seen").fetchone()[0]


def functions() -> Any:
    """What SQLite says of time and chance, also where a table's columns ask."""
    with sqlite3.connect(DATABASE) as made:
        made.execute("drop table if exists orders")
        made.execute("create table orders (at default current_timestamp, due default (datetime('now', '+1 day')), n)")
        made.execute("create index orders_by_day on orders (date(at))")
        made.executemany("insert into orders (n) values (?)", [(n,) for n in range(9)])
        row = made.execute("select at, due from orders").fetchone()
        dates = made.execute(
            "select current_date, current_time, datetime(), time('NOW', 'localtime'), strftime('%f', 'now'), "
            "date('2024-01-31', '+1 month'), date('now', 'localtime', 'start of year'), strftime(), date('nonsense')"
        ).fetchone()
        drawn = made.execute("select random(), hex(randomblob(4)), abs(random()) % 6 between 0 and 5").fetchone()
        mixed = [n for (n,) in made.execute("select n from orders order by random()")]
    return (*row, *dates), drawn, mixed


left_open: list[Any] = []


def locks() -> Any:
    """Leaves a transaction open, a lock on a file, and text in a buffer; a life before may have."""
    import fcntl

    made = sqlite3.connect(DATABASE)
    made.execute("create table if not exists held (at)")
    made.commit()
    made.execute("insert into held values (1)")
    lock = open("files_bot.lock", "a+")
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    lock.seek(0)
    found = lock.read()
    lock.write("buffered")
    left_open.extend((made, lock))
    return made.execute("select count(*) from held").fetchone()[0], found


def project() -> Any:
    """Reads the project, changes it, and sees its own change."""
    module = HERE / "files_bot.py"
    lines = module.read_text().count("\n")
    with module.open("a") as file:
        file.write("# changed\n")
    copy = Path(shutil.copy(module, HERE / "files_bot_copy.py"))
    return module.read_text().count("\n") - lines, copy.name in os.listdir(HERE), len(glob(f"{HERE}/files_bot_c*.py"))


def removing() -> Any:
    there = (HERE / "files_bot.py").exists()
    remove(HERE / "files_bot.py")
    return there, (HERE / "files_bot.py").exists(), "files_bot.py" in {each.name for each in os.scandir(HERE)}


def folders() -> Any:
    made = Path.home() / "relaysim-nowhere" / "deep"
    made.mkdir(parents=True, exist_ok=True)
    (made / "b.txt").write_text("b")
    (made / "a.txt").write_text("a")
    (made / "a.txt").replace(made / "c.txt")
    moved = made.rename(made.parent / "moved")
    found = sorted(str(each.relative_to(moved.parent)) for each in moved.parent.rglob("*"))
    os.chdir(moved)
    shutil.rmtree(moved.parent)
    return found, moved.parent.exists(), Path.cwd() == moved


def temporary() -> Any:
    with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile("w", dir=folder) as file:
        file.write("x")
        file.flush()
        name, there = file.name, os.path.exists(file.name)
    with tempfile.TemporaryFile() as unnamed:
        unnamed.write(b"x")
    descriptor, left = tempfile.mkstemp()
    os.close(descriptor)
    return there, os.path.exists(name), os.path.getsize(left), os.path.basename(name)


def times() -> Any:
    Path("files_bot_new.txt").write_text("x")
    return os.stat("files_bot_new.txt").st_mtime_ns, (HERE / "files_bot.py").stat().st_mtime, DATABASE.exists()


def errors() -> Any:
    said = []
    for act in (
        lambda: open("no/such/folder.txt", "w"),
        lambda: open("no_such_file.txt"),
        lambda: os.mkdir(HERE),
        lambda: os.rmdir(HERE),
        lambda: os.remove("no_such_file.txt"),
        lambda: os.rename("no_such_file.txt", "other"),
        lambda: open(HERE / "files_bot.py", "x"),
        lambda: os.symlink("a", "b"),
    ):
        try:
            act()
        except OSError as error:
            said.append(f"{type(error).__name__} {Path(str(error.filename)).name}")
    return said


def past_it() -> Any:
    import io

    return io.FileIO("files_bot_past.txt", "w")


class Files:
    def __init__(self, send: Any, steps: list[str]) -> None:
        self._send, self._steps = send, steps

    async def handle(self, message: Any) -> None:
        for step in self._steps:
            await self._send(message.conversation, f"{globals()[step]()}")


def make(client: Any, redis_client: Any, send: Any, *, steps: list[str]) -> Files:
    return Files(send, steps)
