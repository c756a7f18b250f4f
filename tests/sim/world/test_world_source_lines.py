"""Goal: where in the source a relay's log line comes from is shown and is no part of the world: no fingerprint moves.

Method: a bot that logs its own lines in three ways, as it is, with a line inserted, and from another folder.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from world_bench import run, settings

from relaysim.relay.telemetry import Telemetry
from relaysim.sim.trace.source_lines import without_source_lines
from relaysim.sim.world import Result, Session

BOT = """
import logging, sys, traceback

log = logging.getLogger("shop")


class Bot:
    def __init__(self, send):
        self.send = send

    async def handle(self, message):
        try:
            raise LookupError("no such order")
        except LookupError:
            log.warning(traceback.format_exc())
        frame = sys._getframe()
        log.info(f"{frame.f_globals['__name__']}:{frame.f_lineno} {WORD}")
        log.info(f"pathname={__file__} lineno={frame.f_lineno}")
        await self.send(message.conversation, "Hello")


def make(client, redis, send):
    return Bot(send)


WORD = "answered"
"""


@pytest.fixture(autouse=True)
def _session() -> Iterator[None]:
    with Session():
        yield


def _run(folder: Path, source: str) -> Result:
    (folder / "shop_for_tests").mkdir(parents=True)
    (folder / "shop_for_tests" / "bot.py").write_text(source, "utf-8")
    sys.path.insert(0, str(folder))
    try:
        return run(settings("shop_for_tests.bot:make"))
    finally:
        sys.path.remove(str(folder))
        for name in ("shop_for_tests", "shop_for_tests.bot"):
            sys.modules.pop(name, None)


def _logged(result: Result) -> list[Any]:
    assert result.records is not None
    return [fields.text for _, _, kind, fields in result.records if kind == "log"]


def test_an_inserted_line_or_another_folder_moves_no_fingerprint(tmp_path: Path) -> None:
    base = _run(tmp_path / "base", BOT)
    longer = _run(tmp_path / "longer", "# a comment\n" + BOT)
    # All three lines are shown as the bot wrote them.
    assert [was == now for was, now in zip(_logged(base), _logged(longer), strict=True)] == [False, False, False]
    assert str(tmp_path / "longer") in _logged(longer)[0]
    assert longer.fingerprint == base.fingerprint


def test_another_word_in_a_line_moves_it(tmp_path: Path) -> None:
    base = _run(tmp_path / "base", BOT)
    assert _run(tmp_path / "other", BOT.replace('"answered"', '"refused"')).fingerprint != base.fingerprint


def test_the_relays_own_report_of_a_bug_has_no_line_in_a_fingerprint(caplog: pytest.LogCaptureFixture) -> None:
    def fail(comments: int) -> str:
        code = compile("\n" * comments + "def fail():\n    raise LookupError", "drainer.py", "exec")
        names: dict[str, Any] = {"__name__": "relaysim.relay.drain.drainer"}
        exec(code, names)
        caplog.clear()
        try:
            names["fail"]()
        except LookupError as error:
            Telemetry().drain_failed("c1", error)
        return caplog.messages[-1].partition('"event"')[2]

    assert '"where": ["relaysim.relay.drain.drainer:2"]' in fail(0)
    assert '"where": ["relaysim.relay.drain.drainer:9"]' in fail(7)
    assert without_source_lines(fail(7)) == without_source_lines(fail(0)) != fail(0)
