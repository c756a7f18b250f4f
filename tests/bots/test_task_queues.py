"""Goal: bots that answer in workers of a queue are judged unchanged, with their library's own rules of what comes again
after a crash: what one loses is told, and its mended twin is safe."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from judged_bots import Judge

from relaysim.scenarios.cli import main

pytestmark = [
    pytest.mark.usefixtures("one_session"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),  # workers close nothing at their worlds' ends
    pytest.mark.filterwarnings("ignore:You.re running the worker with superuser"),  # where tests run as root
]


@pytest.fixture(scope="module", autouse=True)
def _nothing_is_left_to_collect() -> Iterator[None]:
    yield
    gc.collect()  # where the warnings above are ignored, and not in whatever test comes next


CRASH, RAPID = "crash_in_job.toml", "rapid_jobs.toml"


@pytest.mark.parametrize(
    "bot",
    [
        "queue_adapters:consumer",
        "queue_adapters:rq_once",
        "celery_adapters:celery_early",
        "celery_adapters:celery_late_by_default",
    ],
)
def test_a_job_that_nobody_brings_back_after_a_crash_is_lost(judge: Judge, bot: str) -> None:
    judged = judge(bot, CRASH, worlds=1)
    judged.assert_breaks("T1")
    assert judged.broken == {"T1": 1}
    assert "was never answered" in judged.answer


@pytest.mark.parametrize(
    "bot",
    [
        "queue_adapters:reliable_consumer",
        "queue_adapters:rq_with_retries",
        "celery_adapters:celery_late",
        "celery_adapters:celery_early_solo",  # test_celery_worker.py: as the real one
    ],
)
def test_a_job_that_comes_again_is_answered_once(judge: Judge, bot: str) -> None:
    judged = judge(bot, CRASH, worlds=2)
    judged.assert_safe()
    assert judged.count("succeeded") == 6


def test_jobs_of_one_conversation_side_by_side_meet_each_others_runs(judge: Judge) -> None:
    judged = judge("queue_adapters:arq_side_by_side", RAPID, worlds=1)
    judged.assert_breaks("T1")
    assert "met an active run" in judged.answer


def test_one_job_at_a_time_answers_for_a_conversation(judge: Judge) -> None:
    judge("queue_adapters:arq_one_at_a_time", RAPID, worlds=2).assert_safe()


def test_a_job_of_arq_comes_again_and_appends_again_what_it_has_appended(judge: Judge) -> None:
    judged = judge("queue_adapters:arq_one_at_a_time", CRASH, worlds=1)
    judged.assert_breaks("S13")
    assert judged.broken == {"S13": 1}


def test_tasks_of_celery_side_by_side_meet_each_others_runs(judge: Judge) -> None:
    judged = judge("celery_adapters:celery_side_by_side", RAPID, worlds=2)
    judged.assert_breaks("T1")
    assert "met an active run" in judged.answer


def test_a_task_of_celery_that_comes_again_while_the_conversation_is_busy(judge: Judge) -> None:
    judge("celery_adapters:celery_one_at_a_time", RAPID, worlds=2).assert_safe()


@pytest.mark.parametrize(
    ("bot", "remedy"),
    [("celery_adapters:celery_processes", 'pool="threads"'), ("queue_adapters:rq_processes", "SimpleWorker")],
)
def test_a_worker_that_starts_processes_is_refused_with_what_to_do(
    bot: str, remedy: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parent)
    assert main(["verify", CRASH, "--factory", bot, "--quiet"]) == 2
    error = capsys.readouterr().err
    assert "forking this process would leave the simulation" in error
    assert remedy in error
