"""Goal: whoever needs more than an error or a help says is told what to type, and what is typed shows it.

Method: each named page and part of one is looked up among the documents; each command and each kind of file is got wrong.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from relaysim.scenarios import docs_pages
from relaysim.scenarios.cli import command_parser, main
from relaysim.scenarios.commands.command_line import subcommands
from relaysim.scenarios.docs_pages import EXAMPLES, FOLDER, PAGES, joined, names, scenario_page, sections_of, text_of
from relaysim.scenarios.model import Scenario
from tests.docs.page_links import read_page

OF_FILES = [
    value
    for name, value in vars(docs_pages).items()
    if name.isupper() and isinstance(value, str) and not name.startswith("_")
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_page_and_part_that_is_named_is_there() -> None:
    assert len(OF_FILES) == 10
    of_keys = [scenario_page(key) for key in Scenario.model_fields]
    for page in {*OF_FILES, *of_keys, *(page for pages in PAGES.values() for page in pages)}:
        name, _, section = page.partition("#")
        assert name in names(), page
        assert not section or section in read_page(text_of(name)).anchors, page


def test_parts_are_those_that_links_lead_to() -> None:
    for name in names():
        text = text_of(name)
        assert set(sections_of(text)) == read_page(text).anchors, name
    assert {"scenarios", "tutorials/on-call", "policy-file"} <= set(names())


def test_a_key_of_a_scenario_leads_to_its_own_table() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", sections_of(text_of("scenarios"))["the-file"], re.MULTILINE)
    assert {key for key, _ in rows} >= {"relay", "claims", "map"}
    for key, kind in rows:
        tables = re.findall(r"\]\(#([\w-]+)\)", kind)
        if len(tables) == 1:
            assert scenario_page(f"{key}[0].x" if kind.startswith("list") else f"{key}.x") == f"scenarios#{tables[0]}"
    assert scenario_page("name") == scenario_page("") == "scenarios#the-file"
    assert scenario_page("profile_overrides.run_seconds") == "scenarios#profiles"


def test_a_part_ends_where_the_next_begins() -> None:
    text = "# A\n\n```\n# no heading\n```\n\n## B `c`\n\nb\n\n### D\n\nd\n\n## B c\n\ne\n"
    assert sections_of(text) == {
        "a": text,
        "b-c": "## B `c`\n\nb\n\n### D\n\nd\n\n",
        "d": "### D\n\nd\n\n",
        "b-c-1": "## B c\n\ne\n",
    }


def test_several_pages_are_named_once_each() -> None:
    assert joined([]) == joined(["", ""]) == ""
    assert joined(["a#b", "a#b", ""]) == "a#b"
    assert joined(["a#b", "a#c", "d", "e#f"]) == "a, d, e#f"
    assert joined(["a#b", "a"]) == "a"


@pytest.mark.parametrize("name", subcommands(command_parser()))
def test_the_help_of_each_command_ends_with_its_pages(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    told = capsys.readouterr().out
    assert set(PAGES) == set(subcommands(command_parser()))
    if PAGES[name]:
        assert told.endswith(f"\nmore: {', '.join(f'relaysim docs {page}' for page in PAGES[name])}\n")
    else:
        assert "more:" not in told


@pytest.mark.parametrize("name", sorted(PAGES))
def test_the_help_of_each_command_has_lines_that_can_be_typed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert EXAMPLES[name]
    with pytest.raises(SystemExit):
        command_parser().parse_args([name, "--help"])
    said = capsys.readouterr().out
    for example in EXAMPLES[name]:
        assert f"\n  {example}\n" in said
        assert len(example) <= 78
        words = example.partition(" -- ")[0].split()
        assert words[:2] == ["relaysim", name]
        _, unknown = command_parser().parse_known_args(words[1:])
        assert not unknown


def test_the_help_names_the_documents(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert capsys.readouterr().out.endswith("\nmore: relaysim docs\n")


def test_pages_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["docs"]) == 0
    listed = capsys.readouterr().out
    assert re.search(r"^policy-file +Policy files$", listed, re.MULTILINE)
    assert len(listed.splitlines()) == len(names())
    for given in ("policy-file", "policy-file.md", "docs/policy-file.md"):
        assert main(["docs", given]) == 0
        assert capsys.readouterr().out == (FOLDER / "policy-file.md").read_text(encoding="utf-8")
    assert main(["docs", "scenarios#workload"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("## Workload\n")
    assert "## ScriptedMessage" not in told


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("scenaros", "docs scenaros: there is no page 'scenaros'; did you mean `scenarios`?"),
        ("../README", "docs ../README: there is no page '../README'; there are "),
        ("scenarios#worklod", "docs scenarios#worklod: the page has no part 'worklod'; did you mean `workload`"),
    ],
)
def test_a_page_that_there_is_not(page: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["docs", page]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"relaysim: {message}")
    assert told.count("\n") == 1


RACE = ("run", "race", "--seed", "1")


@pytest.mark.parametrize(
    ("arguments", "page"),
    [
        ((*RACE, "--set", "workload.messages[0].worke=1"), "scenarios#workload"),
        ((*RACE, "--set", "claims[0].kind='always'"), "scenarios#claimentry"),
        ((*RACE, "--set", "title=3"), "scenarios#the-file"),
        (("run", "no.toml", "--seed", "1"), "scenarios#the-file"),
        (("run", "damaged.toml", "--seed", "1"), "scenarios#the-file"),
        ((*RACE, "--set", "profile='clamed'"), "scenarios#profiles"),
        ((*RACE, "--set", "profile='damaged.toml'"), "scenarios#profiles"),
        ((*RACE, "--set", "profile_overrides.run_second=1"), "scenarios#profiles"),
        ((*RACE, "--policy", "damaged.toml"), "policy-file"),
        (("verify", "race", "--policy", "no.toml"), "policy-file"),
        (("compare", "race", "--policies", "drain,damaged.toml"), "policy-file"),
        (("sweep", "race", "--list", "no.csv"), "sweeps#points"),
        (("sweep", "race", "--list", "empty.csv"), "sweeps#points"),
        (("sweep", "race", "--grid", "workload.messages[0].worke=1"), "scenarios#workload"),
        (("fit", "no.log"), "fitting#what-it-reads"),
        (("fit", "empty.csv", "--profile-from", "damaged.toml"), "scenarios#profiles"),
        (("fit", "empty.log"), "fitting#what-it-reads"),
        (("verify", "race", "--factory", "nobody:make"), "own-relay"),
        (("report", "damaged.json"), "ci#where-results-lie"),
        (("figures", "none"), "ci#where-results-lie"),
        (("serve", "--faults", "damaged.toml"), "serving#faults"),
        (("serve", "--replies", "damaged.toml"), "serving#replies"),
        (("serve", "--other-endpoints", "damaged.toml"), "other-endpoints"),
        (("serve", "--profile", "damaged.toml"), "scenarios#profiles"),
    ],
)
def test_a_file_that_is_wrong_names_the_page_in_its_line(
    arguments: tuple[str, ...], page: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "damaged.toml").write_text("a = [\n")
    (here / "damaged.json").write_text("{")
    (here / "empty.csv").write_text("")
    (here / "empty.log").write_text("nothing of the relay's\n")
    assert main(arguments) == 2
    told = capsys.readouterr().err
    told = told[told.index("relaysim: ") :]
    assert told.endswith(f" (more: relaysim docs {page})\n")
    assert told.count("\n") == 1


def test_of_several_mistakes_the_heading_names_the_pages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*RACE, "--set", "workload.x=1", "--set", "relay.y=2", "--set", "profile_overrides.z=3"]) == 2
    assert capsys.readouterr().err.startswith("relaysim: 3 problems (more: relaysim docs scenarios)\n  --set ")


def test_what_is_no_file_names_no_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(("tune", "race", "--objectives", "speed")) == 2
    assert "more:" not in capsys.readouterr().err
