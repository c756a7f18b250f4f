"""`relaysim completion SHELL`: what lets a shell complete commands, options, scenarios and files."""

from __future__ import annotations

import argparse
from typing import Any, Final

from relaysim.scenarios.commands.command_line import subcommands

SHELLS: Final = ("bash", "zsh")

_SCENARIOS: Final = {
    "bash": "_relaysim_scenarios",
    "zsh": "_relaysim_scenarios",
}
"""The functions of the preambles, by shell."""

_PREAMBLES: Final = {
    "bash": """
_relaysim_scenarios() {{
  compgen -W "{names}" -- $1
  compgen -f -X '!*.toml' -- $1
}}
""",
    "zsh": """
_relaysim_scenarios() {{
  _alternative 'scenarios:shipped scenario:({names})' 'files:scenario file:_files -g "*.toml"'
}}
""",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.epilog = (
        'bash: eval "$(relaysim completion bash)" in ~/.bashrc; '
        "zsh: relaysim completion zsh > _relaysim, in a folder of $fpath"
    )
    parser.add_argument("shell", choices=SHELLS, help="which shell")


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Print the script for a shell that completes what this parser takes."""
    import shtab

    from relaysim.scenarios.scenario_files import shipped

    actions: list[Any] = [each for one in (parser, *subcommands(parser).values()) for each in one._actions]
    for action in actions:
        metavar = str(action.metavar)
        if metavar == "SCENARIO" and not action.option_strings:
            action.complete = {**shtab.FILE, **_SCENARIOS}
        elif "FILE" in metavar:
            action.complete = shtab.FILE
        elif metavar.startswith("DIR"):
            action.complete = shtab.DIRECTORY
    print(
        shtab.complete(parser, arguments.shell, preamble=_PREAMBLES[arguments.shell].format(names=" ".join(shipped())))
    )
    return 0
