"""Goal: programs as teams write them are judged by one command and ten lines of configuration, and not a line of them is
changed; what is wrong with each is named with a story that is right, and the relay survives a SIGKILL.

Method: all of them at once, each by a `relaysim judge` of its own in its own folder, in one world; nearly all of it is
waiting. The flaws are known: a lock of 15 s under a run of 22 s (Express), jobs that are tried three times within 5 s
(BullMQ), and a wait for a lock that ends after 5 s without a word (gunicorn).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from relaysim.reports.results import read_results
from tests.programs import node_programs
from tests.programs.node_programs import HERE, ROOT, installed

OF_NODE = ("express_bot", "bullmq_bot")
PROGRAMS = {"express_bot": "quick", "bullmq_bot": "quick", "gunicorn_bot": "quick", "relay_program": "killed"}
LINES_MAX = 10
PATIENCE_SECONDS = 400.0


class Judged(NamedTuple):
    """What `relaysim judge` said of a program, and wrote."""

    status: int
    said: str
    results: Mapping[str, Any]
    stories: list[Mapping[str, Any]]

    @property
    def entry(self) -> Mapping[str, Any]:
        """Of its one scenario."""
        (entry,) = self.results["scenarios"]
        return entry

    @property
    def breaches(self) -> set[str]:
        """The promises that it broke."""
        return {name for name, each in self.entry["invariants"].items() if each["breaches"]}

    def story_of(self, claim: str) -> list[str]:
        """The lines of the story about a claim, without times."""
        (story,) = (each for each in self.stories if claim in each["of"])
        return [f"{row['who']} {row['text']}" for row in story["rows"] if "who" in row]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Judged]]:
    """Those that this machine can run."""
    out = tmp_path_factory.mktemp("judged")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    with ExitStack() as stack:
        running = {}
        for name, scenario in PROGRAMS.items():
            if name in OF_NODE and node_programs.lacking() is not None:
                continue
            command = [sys.executable, "-m", "relaysim.scenarios", "judge", str(HERE / f"{scenario}.toml"), "--quiet"]
            running[name] = stack.enter_context(
                subprocess.Popen(
                    [*command, "--replications", "1", "--out", str(out / name)],
                    cwd=installed(name) if name in OF_NODE else HERE / name,
                    env=environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )
            stack.callback(running[name].kill)
        found = {}
        for name, process in running.items():
            said = process.communicate(timeout=PATIENCE_SECONDS)[0]
            assert process.returncode in (0, 1, 3), said
            results = read_results(out / name)
            stories = json.loads((out / name / "stories.json").read_text()) if process.returncode == 1 else []
            found[name] = Judged(process.returncode, said, results, stories)
        yield found


def of(judged: Mapping[str, Judged], name: str) -> Judged:
    """What was said of one, if it could be run."""
    if name not in judged:
        if node_programs.REQUIRED:
            pytest.fail(node_programs.lacking() or "")
        pytest.skip(node_programs.lacking() or "")
    return judged[name]


@pytest.mark.parametrize("name", PROGRAMS)
def test_its_configuration_has_ten_lines_at_most(name: str) -> None:
    lines = (HERE / name / "relaysim.toml").read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if line]) <= LINES_MAX


def test_a_lock_that_lapses_under_a_long_run_is_named(judged: Mapping[str, Judged]) -> None:
    express = of(judged, "express_bot")
    assert express.status == 1
    assert "Is node server.js safe? No: 1 of 3 messages without an answer" in " ".join(express.said.split())
    assert express.entry["outcomes"]["lost"] == express.entry["outcomes"]["generic_failure"] == 1
    assert express.breaches == {"T1-no-message-lost"}
    story = express.story_of("transparent")
    refused, apology, ended = (
        next(number for number, line in enumerate(story) if part in line)
        for part in ("append refused: 400 Can't add messages", "received “Desculpe", "is completed")
    )
    assert refused < apology < ended, "the lock was gone before the run"
    assert len(story) > ended + 1


def test_jobs_that_are_given_up_while_a_run_is_active_are_named(judged: Mapping[str, Judged]) -> None:
    bullmq = of(judged, "bullmq_bot")
    assert bullmq.status == 1
    assert bullmq.entry["outcomes"]["lost"] == 1
    assert bullmq.entry["outcomes"]["generic_failure"] == 0, "it says nothing to anybody"
    assert bullmq.breaches == {"T1-no-message-lost"}
    assert sum("append refused" in line for line in bullmq.story_of("transparent")) == 3, "as often as it tries a job"


def test_a_message_that_is_dropped_while_another_is_answered_is_named(judged: Mapping[str, Judged]) -> None:
    """Locks are not seen, so that the story says of the message that nothing came of it, and no more."""
    flask = of(judged, "gunicorn_bot")
    assert flask.status == 1
    assert flask.entry["outcomes"]["lost"] == 1
    assert flask.entry["counts"]["conflicts"] == 0
    assert flask.entry["counts"]["runs"] == 2
    assert flask.breaches == {"T1-no-message-lost"}
    assert any(line.endswith("ends c1.m2, which never gets an answer") for line in flask.story_of("transparent"))


def test_the_relay_answers_everything_though_a_process_is_killed(judged: Mapping[str, Judged]) -> None:
    relay = of(judged, "relay_program")
    assert relay.entry["fault_hits"]["host_faults"] == [1]
    assert relay.entry["outcomes"]["messages"] == relay.entry["outcomes"]["succeeded"] == 3
    assert relay.breaches == set()
    assert all(claim["count"] == 0 for claim in relay.entry["claims"])
    assert relay.status == 3, "one world shows nothing for good"


@pytest.mark.soak
def test_the_relay_is_safe_under_all_faults_at_once(tmp_path: Path) -> None:
    """SIGKILL, SIGSTOP, a restart of Redis, and lost and broken answers of the API, all of them in each of eight worlds."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = [sys.executable, "-m", "relaysim.scenarios", "judge", str(HERE / "all_faults.toml"), "--quiet"]
    ended = subprocess.run(
        [*command, "--replications", "8", "--out", str(tmp_path / "out")],
        cwd=HERE / "relay_program",
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=3 * PATIENCE_SECONDS,
    )
    print(ended.stdout)
    assert "Is relaysim-relay safe? Yes" in " ".join(ended.stdout.split())
    assert ended.returncode == 0
    (entry,) = read_results(tmp_path / "out")["scenarios"]
    outcomes, counts = entry["outcomes"], entry["counts"]
    assert outcomes["messages"] > 50
    assert outcomes["lost"] == counts["duplicate_reply"] == counts["transparency_breaches"] == 0
    assert all(hits > 0 for of_list in entry["fault_hits"].values() for hits in of_list)
