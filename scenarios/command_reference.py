"""The reference of the command line, written from its parser:
`python -m relaysim.scenarios.command_reference > docs/commands.md`."""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from relaysim.scenarios.cli import command_parser
from relaysim.scenarios.commands.command_line import subcommands
from relaysim.scenarios.docs_pages import EXAMPLES, PAGES

SHARED_BY_MIN: Final = 3
"""Commands that have an option in the same words, from which on it is described once for all of them."""

_OPENING: Final = """# Commands

Everything that `relaysim` takes. This page is written from the code (`python -m relaysim.scenarios.command_reference`), and
a test keeps it so. What each command answers, and all exit codes: [answers.md](answers.md).

`relaysim --help` lists the commands, `relaysim COMMAND --help` says the same as here, and `relaysim --version` prints the
version. Options stand behind the command, in any order, and are never shortened.
The search of the site takes them without their dashes.
"""


def _arguments(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    hidden = (argparse._HelpAction, argparse._SubParsersAction)
    return [action for action in parser._actions if not isinstance(action, hidden) and action.help != argparse.SUPPRESS]


def _value(action: argparse.Action) -> str:
    """What is typed behind an option, or in place of a positional argument."""
    if action.nargs == 0:
        return ""
    if action.choices is not None:
        name = "|".join(str(choice) for choice in action.choices)
    else:
        name = str(action.metavar or action.dest.upper())
    return {"*": f"[{name} ...]", "+": f"{name} [...]", "?": f"[{name}]"}.get(str(action.nargs), name)


def _name(action: argparse.Action) -> str:
    """As it is typed: `--seed N`, `--factory MODULE:NAME`, `SCENARIO`."""
    return " ".join(part for part in (", ".join(action.option_strings), _value(action)) if part)


def _said(action: argparse.Action, command: str) -> str:
    text = str(action.help or "") % {**vars(action), "prog": f"relaysim {command}"}
    text = re.sub(r"docs/([\w-]+\.md)", r"[\1](\1)", " ".join(text.split()))
    required = bool(action.option_strings) and action.required
    return ("required; " if required else "") + text


def _row(action: argparse.Action, command: str) -> str:
    name, said = (cell.replace("|", "\\|") for cell in (_name(action), _said(action, command)))
    return f"| `{name}` | {said} |"


def _usage(command: str, arguments: list[argparse.Action]) -> str:
    positional = [_value(action) for action in arguments if not action.option_strings]
    required = [_name(action) for action in arguments if action.option_strings and action.required]
    optional = [action for action in arguments if action.option_strings and not action.required]
    return " ".join(["relaysim", command, *positional, *required, *(["[OPTION ...]"] if optional else [])])


def _section(name: str, parser: argparse.ArgumentParser, shared: set[str]) -> Iterator[str]:
    arguments = _arguments(parser)
    own = [action for action in arguments if _row(action, name) not in shared]
    yield f"\n## `{name}`\n\n{parser.description}\n\n    {_usage(name, arguments)}\n"
    yield "\n" + "".join(f"    {each}\n" for each in ("# for example", *EXAMPLES[name]))
    if pages := PAGES[name]:
        yield f"\nMore: {', '.join(f'[{page}.md]({page}.md)' for page in pages)}.\n"
    if own:
        yield "\n| argument | |\n|---|---|\n"
        yield from (f"{_row(action, name)}\n" for action in own)
    if others := [action for action in arguments if action not in own]:
        names = ", ".join(f"`{action.option_strings[0]}`" for action in others)
        yield f"\n[Options of several commands](#options-of-several-commands): {names}.\n"
    if parser.epilog:
        yield f"\n`{parser.epilog}`\n" if "`" not in parser.epilog else f"\n{parser.epilog}\n"


def reference() -> str:
    """The whole page."""
    commands = subcommands(command_parser())
    rows = {name: [_row(action, name) for action in _arguments(parser)] for name, parser in commands.items()}
    options = [
        (_row(action, name), name)
        for name, parser in commands.items()
        for action in _arguments(parser)
        if action.option_strings
    ]
    times = Counter(row for row, _ in options)
    shared = {row for row, count in times.items() if count >= SHARED_BY_MIN}
    having = {row: [name for name, its in rows.items() if row in its] for row in shared}
    lines = [_OPENING]
    for name, parser in commands.items():
        lines += _section(name, parser, shared)
    lines.append("\n## Options of several commands\n\n| option | of | |\n|---|---|---|\n")
    for row in dict.fromkeys(row for row, _ in options if row in shared):
        option, said = row.removeprefix("| ").removesuffix(" |").split(" | ", 1)
        lines.append(f"| {option} | {', '.join(f'`{name}`' for name in having[row])} | {said} |\n")
    return "".join(lines)


if __name__ == "__main__":
    print(reference(), end="")
