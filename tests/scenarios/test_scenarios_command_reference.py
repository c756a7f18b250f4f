"""The reference of the command line says what the parser says, of every command and every option."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from relaysim.scenarios.cli import command_parser
from relaysim.scenarios.command_reference import reference
from relaysim.scenarios.commands.command_line import subcommands
from relaysim.scenarios.docs_pages import PAGES

DOCS = Path(__file__).parents[2] / "docs"
COMMANDS = subcommands(command_parser())


def test_the_page_is_up_to_date() -> None:
    assert (DOCS / "commands.md").read_text(encoding="utf-8") == reference(), (
        "run `python -m relaysim.scenarios.command_reference > docs/commands.md`"
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_command_is_in_its_section(command: str) -> None:
    section = reference().partition(f"\n## `{command}`\n")[2].partition("\n## ")[0]
    options = {
        action.option_strings[0]
        for action in COMMANDS[command]._actions
        if action.option_strings and not isinstance(action, argparse._HelpAction)
    }
    assert set(re.findall(r"`(--[a-z-]+)", section)) == options


def test_every_argument_says_what_it_is() -> None:
    assert [
        f"{command} {action.dest}"
        for command, parser in COMMANDS.items()
        for action in parser._actions
        if not action.help
    ] == []


def test_every_command_names_its_pages() -> None:
    assert list(PAGES) == list(COMMANDS)
    for page in {page for pages in PAGES.values() for page in pages}:
        assert (DOCS / f"{page}.md").is_file()
