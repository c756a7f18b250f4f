"""Goal: `verify` never gives a verdict on worlds that a seed does not determine; it says where two runs of one seed part.

Method: the command on a bot that iterates over a set, and on our own relay; traces that differ in one record; results of
which one scenario parted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from scenario_stand_ins import SMALL, write

from relaysim.reports import figures
from relaysim.reports.answers import answer_of
from relaysim.reports.determinism import not_deterministic_words, same_again_words
from relaysim.reports.exit_codes import exit_status
from relaysim.reports.results import build_results, read_results
from relaysim.reports.verify_page import verify_html
from relaysim.scenarios.cli import main
from relaysim.scenarios.determinism import recheck
from relaysim.scenarios.determinism.fresh_process import FreshProcess, FreshProcessError, Job, WorldToRun
from relaysim.scenarios.determinism.traces import digest_of, first_difference, packed
from relaysim.scenarios.load import load
from relaysim.scenarios.own_relay import details
from relaysim.scenarios.runner import Batch, Lane, run_batches
from relaysim.sim.doors.sent_requests import SentRequests
from relaysim.sim.trace.schema import TextSent
from relaysim.sim.world import run_world

UNSORTED = """
class Bot:
    def __init__(self, send):
        self.send = send

    async def handle(self, message):
        words = {f"{word}-{message.id}" for word in "one two three four five six seven eight nine ten".split()}
        await self.send(message.conversation, " ".join(words))


def make(openai_client, redis_client, send):
    return Bot(send)
"""

PARTED = {
    "scenario": "small",
    "seed": 1,
    "lane": "sdk",
    "time_seconds": 0.5,
    "entity": "w1",
    "records": ["`send` with text 'a'", "`send` with text 'b'"],
    "next": "relaysim doctor small --factory bot:make",
    "text": "at 0.5 s, in what `w1` does: this run has `send` with text 'a', the fresh process has `send` with text 'b'",
}


@pytest.fixture
def rechecked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(recheck, "SEEDS", 3)
    monkeypatch.setattr(figures, "draw_all", lambda results: {})
    return tmp_path


def test_a_bot_that_iterates_over_a_set_gets_exit_code_4_and_hears_of_it_first(
    rechecked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (rechecked / "unsorted_bot.py").write_text(UNSORTED, encoding="utf-8")
    monkeypatch.syspath_prepend(str(rechecked))
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    write(rechecked, SMALL)
    arguments = ("--factory", "unsorted_bot:make", "--replications", "2", "--jobs", "1", "--quiet", "--out", "out")
    assert main(["verify", "small.toml", *arguments]) == 4
    streams = capsys.readouterr()
    said = " ".join(streams.out.split())
    assert said.startswith(
        "Is unsorted_bot:make safe? That cannot be said: the same seed gave two worlds "
        "Not deterministic: seed 0 of small gave two worlds, which part at "
    )
    assert "no verdict here can be trusted" in said
    assert "It rests on PYTHONHASHSEED, another one in each process: most likely on the order of a set" in said
    assert "(`sorted(...)`), and take no key from hash(); what goes wrong under one order is shown with" in said
    assert "\n    relaysim doctor small.toml --factory unsorted_bot:make\n" in streams.out
    assert "relaysim: small, seed 0: not deterministic: at " in streams.err
    (parting,) = read_results(rechecked / "out")["not_deterministic"]
    assert (parting["seed"], parting["lane"]) == (0, "sdk")
    one, other = parting["records"]
    assert one != other
    assert one.startswith("`send` with text '")
    assert other.startswith("`send` with text '")


def test_a_hash_seed_that_the_environment_fixes_gives_a_verdict_on_that_order(rechecked: Path) -> None:
    (rechecked / "unsorted_bot.py").write_text(UNSORTED, encoding="utf-8")
    write(rechecked, SMALL)
    arguments = ("--factory", "unsorted_bot:make", "--replications", "4", "--jobs", "2", "--quiet", "--full")
    ran = subprocess.run(
        [sys.executable, "-m", "relaysim.scenarios", "verify", "small.toml", *arguments, "--out", "out"],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    results = read_results(rechecked / "out")
    assert "not_deterministic" not in results
    assert ran.returncode == exit_status(results) != 4, ran.stderr
    said = " ".join(ran.stdout.split())
    assert (
        "All this holds under PYTHONHASHSEED=0 alone, which a replay needs too: with another one seed 0 of small"
        in said
    )
    assert "in the opposite order and with the same hash seed (with another one not: small)." in said
    (parting,) = results["hash_order"]
    assert (parting["scenario"], parting["seed"], parting["hash_seed"]) == ("small", 0, 0)
    assert parting["records"][0] != parting["records"][1]


def test_a_hash_seed_that_this_process_was_not_started_with_gives_no_verdict(
    rechecked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (rechecked / "unsorted_bot.py").write_text(UNSORTED, encoding="utf-8")
    monkeypatch.syspath_prepend(str(rechecked))
    monkeypatch.setenv("PYTHONHASHSEED", "4711")
    write(rechecked, SMALL)
    arguments = ("--factory", "unsorted_bot:make", "--replications", "2", "--jobs", "1", "--quiet", "--out", "out")
    assert main(["verify", "small.toml", *arguments]) == 4
    assert "hash_order" not in read_results(rechecked / "out")


def test_what_is_otherwise_in_each_process_is_not_laid_to_the_order_of_sets(
    rechecked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = UNSORTED.replace('" ".join(words)', "str(resource.getrusage(0).ru_utime)")
    (rechecked / "unsorted_bot.py").write_text(f"import resource\n{text}", encoding="utf-8")
    monkeypatch.syspath_prepend(str(rechecked))
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    write(rechecked, SMALL)
    arguments = ("--factory", "unsorted_bot:make", "--replications", "2", "--jobs", "1", "--quiet", "--out", "out")
    assert main(["verify", "small.toml", *arguments]) == 4
    said = capsys.readouterr().out
    assert "PYTHONHASHSEED" not in said
    assert "Find the line that brings it in, and mend that first:" in said


def test_what_is_deterministic_is_told_in_one_line_and_leaves_no_mark_in_the_results(
    rechecked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = write(rechecked, SMALL)
    arguments = ("verify", given, "--replications", "4", "--jobs", "1", "--quiet", "--full", "--out")
    main([*arguments, "with"])
    assert (
        "Deterministic, as far as was looked: the first seeds of 1 scenario, 3 worlds, came out the same in a fresh "
        "process, in the opposite order and with another hash seed.\n"
    ) in capsys.readouterr().out
    main([*arguments, "without", "--recheck", "0"])
    assert "Whether a seed is one world was not checked: no world was run again.\n" in capsys.readouterr().out
    assert Path("with/results.json").read_bytes() == Path("without/results.json").read_bytes()
    timing = json.loads(Path("with/timing.json").read_text(encoding="utf-8"))
    assert timing["same_again"] == {"scenarios": 1, "worlds": 3, "parted": [], "by_hash_seed": []}
    assert "came out the same in a fresh process" in Path("with/index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("own", [None, "random", "0", "1", "2"])
def test_the_second_run_has_another_hash_seed(own: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if own is None:
        monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    else:
        monkeypatch.setenv("PYTHONHASHSEED", own)
    assert recheck.another_hash_seed() > 0  # with 0 hashes are not random
    assert str(recheck.another_hash_seed()) != own


def test_a_process_that_ends_without_results_is_told_of_by_what_it_said(tmp_path: Path) -> None:
    scenario = (
        load(write(tmp_path), check_relay=False).to_json().replace("relaysim.relay:cancel", "relaysim.no_relay:cancel")
    )
    with (
        FreshProcess(Job([scenario], [WorldToRun(0, "direct", 0)])) as process,
        pytest.raises(FreshProcessError) as told,
    ):
        process.endings()
    assert str(told.value).startswith("ended with exit code 1 and said: ")
    assert "there is no module 'relaysim.no_relay'" in str(told.value)


def test_a_world_that_ends_in_one_run_only_is_a_parting(tmp_path: Path) -> None:
    ending = recheck.Ending(WorldToRun(0, "direct", 2), error="KeyError: 'x'")
    parting = recheck._parting(recheck.Planned(load(write(tmp_path), check_relay=False), "direct", 3), ending, b"")
    assert parting is not None
    assert parting["text"] == "at the end: this run came to it, the fresh process did not: KeyError: 'x'"


def test_the_command_that_looks_longer_names_what_the_scenario_was_run_with(tmp_path: Path) -> None:
    small = load(write(tmp_path), ["workload.messages[0].at_seconds=1.5"], check_relay=False)
    parting = recheck._parting(
        recheck.Planned(small, "sdk", 3), recheck.Ending(WorldToRun(0, "sdk", 0), error="E: x"), b""
    )
    assert parting is not None
    assert parting["next"] == (
        f"relaysim doctor {tmp_path}/small.toml --set 'workload.messages[0].at_seconds=1.5' --lane sdk"
    )


def test_traces_are_kept_of_the_first_seeds_however_they_were_cut(tmp_path: Path) -> None:
    scenario = load(write(tmp_path))
    batch = Batch("main", scenario.to_json(), 4, "direct", traces=3)
    kept = [run_batches([batch], chunk_size=size)[0]["main"].traces for size in (1, 2, 4)]
    assert list(kept[0]) == [0, 1, 2]
    assert kept == [kept[0]] * 3
    settings = scenario.world_settings()
    sent = SentRequests()
    other = run_world(settings, root_seed=scenario.root_seed, seed=2, lane="direct", keep_trace=True, sent=sent)
    assert first_difference(kept[0][2], packed(other.records or (), sent.rows)) is None
    assert first_difference(kept[0][1], kept[0][2]) is not None


def test_the_first_record_that_differs_is_found_and_told_by_the_fields_that_differ() -> None:
    def text(time: float, worker: str, said: str) -> tuple[float, str, str, TextSent]:
        return time, worker, "send", TextSent("c1.m1#1", "c1", said)

    same, later = text(1.0, "w1", "Hello"), text(2.0, "w2", "x")
    told = first_difference(packed([same, text(1.5, "w1", "a"), later]), packed([same, text(1.5, "w1", "b"), later]))
    assert told is not None
    assert told.words("one", "the other") == (
        "at 1.5 s, in what `w1` does: one has `send` with text 'a', the other has `send` with text 'b'"
    )
    shorter = first_difference(packed([same, later]), packed([same]))
    assert shorter is not None
    assert shorter.words("one", "the other").endswith("', text 'x', the other has nothing more")
    # At one instant what different workers do has no order; what one does has.
    assert first_difference(packed([text(1.0, "w2", "x"), same]), packed([same, text(1.0, "w2", "x")])) is None
    assert first_difference(packed([same, text(1.0, "w1", "x")]), packed([text(1.0, "w1", "x"), same])) is not None


TAGGING = """
import os


class Bot:
    def __init__(self, client):
        self.threads = client.beta.threads

    async def handle(self, message):
        tag = os.environ["WORLD_TAG"]
        if os.environ["WORLD_LANE"] == "sdk":
            await self.threads.create(extra_headers={"X-Tag": tag})
        else:
            await self.threads.create(metadata={"tag": tag} if tag else None)


def make(openai_client, redis_client, send):
    return Bot(openai_client)
"""


@pytest.mark.parametrize(
    ("lane", "tags", "told"),
    [
        (
            "direct",
            ("a", "b"),
            ("`threads.create` with metadata {'tag': 'a'}", "`threads.create` with metadata {'tag': 'b'}"),
        ),
        ("direct", ("a", ""), ("`threads.create` with metadata {'tag': 'a'}", "`threads.create` with metadata None")),
        ("sdk", ("a", "b"), ("`threads.create` with header x-tag 'a'", "`threads.create` with header x-tag 'b'")),
    ],
)
def test_what_is_sent_to_the_api_parts_worlds_of_which_the_trace_is_the_same(
    lane: Lane,
    tags: tuple[str, str],
    told: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "tagging_bot.py").write_text(TAGGING, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("WORLD_LANE", lane)
    text = SMALL.replace("relaysim.relay:cancel_and_retry", "tagging_bot:make")
    scenario = load(write(tmp_path, text), check_relay=False)
    prints, traces, digests = set(), [], set()
    for tag in tags:
        monkeypatch.setenv("WORLD_TAG", tag)
        sent = SentRequests()
        result = run_world(scenario.world_settings(), root_seed=1, seed=0, lane=lane, keep_trace=True, sent=sent)
        prints.add(result.fingerprint)
        traces.append(packed(result.records or (), sent.rows))
        digests.add(digest_of(sent.rows))
    assert (len(prints), len(digests)) == (1, 2)
    difference = first_difference(*traces)
    assert difference is not None
    assert (difference.one, difference.other) == told
    assert difference.entity.startswith("w")


def test_results_that_are_not_deterministic_say_so_before_anything_else() -> None:
    results = build_results("1+x", [], not_deterministic=[PARTED, {**PARTED, "scenario": "other"}], factory="bot:make")
    assert exit_status(results) == 4
    said = answer_of(results)
    assert said.title == "Is bot:make safe? That cannot be said: the same seed gave two worlds"
    assert said.found == [not_deterministic_words(results)]
    assert "seed 1 of small gave two worlds, which part at 0.5 s" in said.found[0]
    assert "So do worlds of other." in said.found[0]
    assert details(results, []) == []
    assert f'<h1 class="bad">{said.title}</h1>' in verify_html(results)
    assert same_again_words({"same_again": {"scenarios": 2, "worlds": 6, "parted": ["small"]}}) == ""
