"""Goal: a test under many seeds tells which failed and how each is run again, remembers them, and says when they are mended.

Method: suites of somebody else's, whose tests fail by their seed alone, so that 200 of them cost nothing.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from relaysim.scenarios.testing import seed_keeper
from relaysim.scenarios.testing.failing_seeds import KEPT_MAX, FailingSeeds, SeedsFileError, read_seeds, write_seeds

pytest_plugins = ["pytester"]

FAILING = """
import pytest

@pytest.mark.relaysim_seeds(200)
def test_it(relaysim_seed):
    assert relaysim_seed not in (41, 137)
"""
MENDED = FAILING.replace("(41, 137)", "()")
NAME = "test_bot.py::test_it"


@pytest.fixture
def run(pytester: pytest.Pytester) -> Any:
    """Run somebody's suite, in which every warning is an error."""

    def run(text: str, *arguments: str) -> pytest.RunResult:
        (pytester.path / "test_bot.py").write_text(text)
        return pytester.runpytest_inprocess("-W", "error", *arguments)

    return run


def kept(pytester: pytest.Pytester) -> Any:
    path = pytester.path / ".relaysim" / "seeds.json"
    return json.loads(path.read_text())["seeds"] if path.exists() else None


def names_in_order(result: pytest.RunResult) -> list[str]:
    return [line.partition(" ")[0] for line in result.outlines if "ED  " in line]


def test_a_user_sees_two_of_two_hundred_fail_mends_them_and_keeps_the_seeds(
    run: Any, pytester: pytest.Pytester
) -> None:
    failed = run(FAILING, "--junitxml", "junit.xml")
    failed.assert_outcomes(passed=198, failed=2)
    assert failed.ret == pytest.ExitCode.TESTS_FAILED
    again = "pytest 'test_bot.py::test_it[seed41]'"
    failed.stdout.fnmatch_lines(["*- relaysim: seed 41 -*", f"Run it again: {again}"])
    failed.stdout.fnmatch_lines(
        [
            "*= relaysim: seeds =*",
            f"{NAME}: fails under 2 of 200 seeds: 41, 137",
            "kept in .relaysim/seeds.json, and run first the next time",
        ]
    )
    junit = ElementTree.parse(pytester.path / "junit.xml")
    (first, second) = junit.iter("failure")
    assert "relaysim: seed 41" in (first.text or "")
    assert f"Run it again: {again}" in (first.text or "")
    assert "relaysim: seed 137" in (second.text or "")
    assert kept(pytester) == {NAME: {"failing": [41, 137]}}

    by_its_line = pytester.runpytest_inprocess("test_bot.py::test_it[seed41]")
    by_its_line.assert_outcomes(failed=1)
    by_keyword = run(FAILING, "-k", "test_it[seed41]")
    by_keyword.assert_outcomes(failed=1, deselected=199)
    by_option = run(FAILING, "--relaysim-seed", "137", "--relaysim-seed", "5")
    by_option.assert_outcomes(failed=1, passed=1)

    first_two = run(FAILING, "-v", "--maxfail", "2")
    first_two.assert_outcomes(failed=2)
    assert names_in_order(first_two)[:2] == [f"{NAME}[seed41]", f"{NAME}[seed137]"]

    mended = run(MENDED)
    mended.assert_outcomes(passed=200)
    assert mended.ret == 0
    mended.stdout.fnmatch_lines([f"{NAME}: mended: 41, 137 failed before and passed now"])
    assert kept(pytester) == {NAME: {"mended": [41, 137]}}

    later = run(MENDED.replace("200", "10"), "-v")
    later.assert_outcomes(passed=12)
    assert names_in_order(later)[:3] == [f"{NAME}[seed41]", f"{NAME}[seed137]", f"{NAME}[seed0]"]
    later.stdout.no_fnmatch_line("*relaysim: seeds*")

    broken_again = run(FAILING, "-x")
    broken_again.assert_outcomes(failed=1)
    assert kept(pytester) == {NAME: {"failing": [41], "mended": [137]}}


def test_in_several_processes_too(pytester: pytest.Pytester) -> None:
    write_seeds(pytester.path / ".relaysim" / "seeds.json", FailingSeeds({NAME: [7, 41]}))
    (pytester.path / "test_bot.py").write_text(FAILING.replace("200", "60"))
    result = pytester.runpytest_subprocess("-n", "2", "-W", "error", "--junitxml", "junit.xml")
    result.assert_outcomes(passed=59, failed=1)
    result.stdout.fnmatch_lines(["*- relaysim: seed 41 -*", "Run it again: pytest 'test_bot.py::test_it[[]seed41[]]'"])
    result.stdout.fnmatch_lines(
        [f"{NAME}: fails under 1 of 60 seeds: 41", f"{NAME}: mended: 7 failed before and passed now"]
    )
    assert kept(pytester) == {NAME: {"failing": [41], "mended": [7]}}
    assert "relaysim: seed 41" in (pytester.path / "junit.xml").read_text()


def test_it_needs_no_cache_of_pytests(run: Any, pytester: pytest.Pytester) -> None:
    run(FAILING, "-p", "no:cacheprovider").assert_outcomes(passed=198, failed=2)
    assert kept(pytester) == {NAME: {"failing": [41, 137]}}
    assert not (pytester.path / ".pytest_cache").exists()


def test_a_session_without_a_failing_seed_writes_nothing(run: Any, pytester: pytest.Pytester) -> None:
    run(MENDED).assert_outcomes(passed=200)
    assert not (pytester.path / ".relaysim").exists()


def test_where_they_are_kept_is_a_setting(run: Any, pytester: pytest.Pytester) -> None:
    run(FAILING, "-o", "relaysim_seed_file=tests/failing.json")
    assert read_seeds(pytester.path / "tests" / "failing.json").failing == {NAME: [41, 137]}
    nowhere = run(FAILING, "-o", "relaysim_seed_file=")
    nowhere.stdout.no_fnmatch_line("*kept in*")
    assert not (pytester.path / ".relaysim").exists()
    nowhere.stdout.fnmatch_lines(["Run it again: pytest -o relaysim_seed_file= 'test_bot.py::test_it[[]seed41[]]'"])


def test_a_file_that_cannot_be_read_is_one_line(run: Any, pytester: pytest.Pytester) -> None:
    path = pytester.path / ".relaysim" / "seeds.json"
    path.parent.mkdir()
    path.write_text("<<<<<<< merged\n")
    result = run(FAILING)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {path}: cannot be read: *; put it right, or delete it"])
    result.stderr.no_fnmatch_line("*Traceback*")


def test_a_file_that_cannot_be_written_is_one_line(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(seed_keeper, "write_seeds", refuse)
    result = run(FAILING)
    result.assert_outcomes(passed=198, failed=2)
    result.stdout.fnmatch_lines([".relaysim/seeds.json: cannot be written: Permission denied; nothing is kept"])
    result.stdout.no_fnmatch_line("kept in*")


def test_the_line_is_typed_where_pytest_was_started(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pytester.mkdir("tests")
    pytester.makeini("[pytest]\n")
    (folder / "test_bot.py").write_text(FAILING)
    monkeypatch.chdir(folder)
    result = pytester.runpytest_inprocess("-k", "seed41")
    result.stdout.fnmatch_lines(["Run it again: pytest 'test_bot.py::test_it[[]seed41[]]'"])


def test_other_numbers_and_names(run: Any) -> None:
    text = """
import pytest

pytestmark = pytest.mark.relaysim_seeds(range(7, 9))

@pytest.mark.parametrize("kind", ["a", "b"])
def test_two(kind, relaysim_seed):
    assert (kind, relaysim_seed) != ("b", 8)

class TestClass:
    @pytest.mark.relaysim_seeds([3])
    def test_without_the_fixture(self):
        pass
"""
    result = run(text, "-v")
    result.assert_outcomes(passed=4, failed=1)
    assert names_in_order(result) == [
        *(f"test_bot.py::test_two[{kind}-seed{seed}]" for kind in "ab" for seed in (7, 8)),
        "test_bot.py::TestClass::test_without_the_fixture[seed3]",
    ]
    result.stdout.fnmatch_lines(["test_bot.py::test_two: fails under 1 of 2 seeds: 8"])
    run(text, "--relaysim-seeds", "5").assert_outcomes(
        passed=16, failed=1
    )  # and 8, which failed before, for both kinds


@pytest.mark.parametrize("given", ["", "0", "-1", "True", "'200'", "[]", "[1, -2]", "1, 2", "n=3", "2.5"])
def test_a_marker_that_says_nothing_is_one_sentence(run: Any, given: str) -> None:
    result = run(FAILING.replace("relaysim_seeds(200)", f"relaysim_seeds({given})"))
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*@pytest.mark.relaysim_seeds(*): must be given how many seeds, 1 or more, or *"])
    result.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.parametrize("option", ["--relaysim-seeds=0", "--relaysim-seed=-1", "--relaysim-seeds=many"])
def test_an_option_that_says_nothing_is_one_sentence(run: Any, option: str) -> None:
    result = run(FAILING, option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*argument {option.partition('=')[0]}: must be a whole number, * or more, not *"])


def test_the_session_s_server_is_refused(run: Any) -> None:
    result = run(FAILING.replace("(relaysim_seed)", "(relaysim_seed, openai_server_session)"))
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*openai_server_session begins the same world for each test; take openai_server"])


def test_each_seed_is_another_world(run: Any) -> None:
    result = run(
        """
import pytest

@pytest.mark.relaysim_seeds(3)
@pytest.mark.simulated_openai(seed=5)
def test_ids(simulated_openai, relaysim_seed):
    assert simulated_openai.seed == relaysim_seed
    print("THREAD", simulated_openai.client.beta.threads.create().id)
""",
        "-s",
    )
    result.assert_outcomes(passed=3)
    assert len({line for line in result.outlines if "THREAD" in line}) == 3


# The file


def test_what_is_taken_down(tmp_path: Path) -> None:
    seeds = FailingSeeds()
    assert seeds.take("a", [1], [2, 3]) == []
    assert seeds.of("a") == [2, 3]
    assert seeds.take("a", [2], []) == [2], "one that passed is mended"
    assert seeds.of("a") == [3, 2], "and stays, behind those that fail"
    assert seeds.take("a", [2], []) == [], "it was mended before"
    assert seeds.take("a", [], [2]) == []
    assert seeds.of("a") == [2, 3], "and fails again"
    path = tmp_path / "folder" / "seeds.json"
    write_seeds(path, seeds)
    assert read_seeds(path) == seeds
    assert read_seeds(tmp_path / "nothing") == FailingSeeds()


def test_of_hundreds_only_some_are_kept_and_what_is_known_stays() -> None:
    seeds = FailingSeeds({"a": [150]})
    seeds.take("a", [], list(range(200)))
    assert seeds.of("a") == [*range(KEPT_MAX - 1), 150]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"schema": 2, "seeds": {}}',
        '{"schema": 1, "seeds": {"a": [1]}}',
        '{"schema": 1, "seeds": {"a": {"failing": ["x"]}}}',
    ],
)
def test_a_spoilt_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "seeds.json"
    path.write_text(text)
    with pytest.raises(SeedsFileError, match=r"seeds\.json: cannot be read: .*; put it right, or delete it"):
        read_seeds(path)


def test_a_line_for_each_test_so_that_versions_merge(tmp_path: Path) -> None:
    path = tmp_path / "seeds.json"
    write_seeds(path, FailingSeeds({"b": [1]}, {"a": [2], "b": [3]}))
    assert path.read_text().splitlines() == [
        "{",
        ' "schema": 1,',
        ' "seeds": {',
        '  "a": {"mended": [2]},',
        '  "b": {"failing": [1], "mended": [3]}',
        " }",
        "}",
    ]
