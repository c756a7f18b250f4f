"""Goal: bots as users write them, in the styles that they write them in, are judged as they are: one with a known flaw is
unsafe and its finding or its story names the flaw, its mended twin is safe."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from judged_bots import Judge

from relaysim.scenarios.cli import main

pytestmark = pytest.mark.usefixtures("one_session")


class Flawed(NamedTuple):
    """A bot with one flaw.

    Attributes:
        application: its module; the mended twin's ends in `_mended`, unless `mended` says another.
        scenario: the circumstances that a user would try.
        named: what the finding or the story says of the flaw.
        adapter: the module with a factory of the bot's name, where the bot is no application.
    """

    application: str
    scenario: str
    named: tuple[str, ...]
    provider: str = "whatsapp"
    sets: tuple[str, ...] = ()
    mended: str = ""
    adapter: str = ""

    def given(self, module: str) -> tuple[str, str | None]:
        """The factory of its module or its twin's, and the provider."""
        return (f"{self.adapter}:{module}", None) if self.adapter else (f"{module}:app", self.provider)


WHILE_RUNNING = "while a run"  # the API's refusal of an append

PAIRS = [
    Flawed("fastapi_background", "rapid.toml", (WHILE_RUNNING,)),
    Flawed("fastapi_background_mended", "two_workers.toml", ("created in thread_",), mended="redis_lock"),
    Flawed("redis_lock_short", "two_workers.toml", ("lock",), mended="redis_lock"),
    Flawed("thread_per_message", "rapid.toml", (WHILE_RUNNING,)),
    Flawed("executor", "rapid.toml", (WHILE_RUNNING,)),
    Flawed("queue_worker", "failing.toml", ("ended a thread",)),
    Flawed("timer_debounce", "rapid.toml", (WHILE_RUNNING,)),
    Flawed(
        "task_debounce", "rapid.toml", ("c2.m1 was never answered", "cancels the task of c2.m1, which had called runs.")
    ),
    Flawed("sleep_in_async", "slow.toml", ("event loop was blocked", "deadline missed")),
    Flawed("sqlite_threads", "together.toml", ("IntegrityError",)),
    Flawed("tenacity_retries", "rapid.toml", (WHILE_RUNNING, "RetryError")),
    Flawed("telegram_handlers", "rapid.toml", (WHILE_RUNNING,), provider="telegram"),
    Flawed("bolt_events", "slow.toml", ("deadline missed",), provider="slack", sets=("provider.path=/slack/events",)),
    Flawed("event_callbacks", "rapid.toml", (WHILE_RUNNING,), adapter="callback_adapters"),
    Flawed("django_view", "slow.toml", ("deadline missed",)),
    Flawed("redis_consumer", "two_workers.toml", (WHILE_RUNNING,)),
    Flawed("flask_webhook", "slow.toml", ("deadline missed",)),
]


@pytest.fixture(autouse=True)
def _here(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parent)


@pytest.mark.parametrize("bot", PAIRS, ids=lambda bot: bot.application)
def test_the_flaw_is_found_and_named(judge: Judge, bot: Flawed, capsys: pytest.CaptureFixture[str]) -> None:
    application, provider = bot.given(bot.application)
    judged = judge(application, bot.scenario, worlds=1, provider=provider, sets=bot.sets, stories=True)
    assert judged.exit_code == 1, judged.answer
    assert not judged.is_safe
    assert "safe? No" in judged.answer
    missing = _missing(bot, judged.answer)
    if not missing:
        return
    changed = [part for each in bot.sets for part in ("--set", each)]
    changed += [] if provider is None else ["--provider", provider]
    assert main(["replay", bot.scenario, "--seed", "0", "--factory", application, *changed]) == 0
    told = judged.answer + capsys.readouterr().out
    assert _missing(bot, told) == [], told


def _missing(bot: Flawed, told: str) -> list[str]:
    words = " ".join(told.split())  # long lines are wrapped
    return [each for each in bot.named if each not in words]


TWINS = {(bot.mended or f"{bot.application}_mended", bot.scenario): bot for bot in PAIRS}


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin[0])
def test_the_mended_twin_is_safe(judge: Judge, twin: tuple[str, str]) -> None:
    application, scenario = twin
    bot = TWINS[twin]
    factory, provider = bot.given(application)
    judge(factory, scenario, provider=provider, sets=bot.sets).assert_safe()
