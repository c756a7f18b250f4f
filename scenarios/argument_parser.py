"""The parser of the command line, which says in one line what is wrong with what was typed, and how to put it right."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

from relaysim.scenarios.commands.command_line import EXIT_USAGE
from relaysim.scenarios.docs_pages import lines_to_type
from relaysim.scenarios.system_errors import printable

_CLOSE: Final = 0.7
"""How much of a word must be the same for it to be the one that was meant."""

LINE_MAX: Final = 2000
"""Characters of a complaint's line that are printed; it may quote what somebody typed, or what a bot raised."""


class ArgumentParser(argparse.ArgumentParser):
    """Says which command or option may have been meant by one that there is not."""

    names: Sequence[str] = ()
    """The commands, of the parser that has some."""
    pages: Sequence[str] = ()
    """The pages that tell more of a command."""
    examples: Sequence[str] = ()
    """Lines to type."""

    def format_help(self) -> str:
        """The help, and at its end lines to type, and what to type for more than it can say."""
        examples = "".join(f"\n  {each}" for each in self.examples)
        more = lines_to_type(self.pages) or ("relaysim docs" if self.names else "")
        return (
            super().format_help()
            + (f"\nexamples:{examples}\n" if examples else "")
            + (f"\nmore: {more}\n" if more else "")
        )

    def error(self, message: str) -> NoReturn:
        """Say in one line what is wrong and how to put it right, and end. The usage is for those who ask for help."""
        more = ", ".join(each for each in (f"{self.prog} --help", lines_to_type(self.pages[:1])) if each)
        print(f"{self.prog}: {cut(printable(self._words(message)))} (more: {more})", file=sys.stderr)
        self.exit(EXIT_USAGE)

    def _words(self, message: str) -> str:
        """What argparse found wrong, in words that say what to do."""
        if (found := re.match(r"unrecognized arguments: (\S+)", message)) is not None:
            typed = found[1]
            if not typed.startswith("-"):
                return f"{typed!r} is one argument too many; leave it out, or quote what belongs together"
            option = typed.partition("=")[0]
            return f"there is no option {option}" + self._meant(option, [*self._option_string_actions])
        if (found := re.match(r"the following arguments are required: (.*)", message)) is not None:
            if self.names:
                return "names no command; relaysim verify judges the scenarios of the incident, for example"
            is_missing = "are missing" if "," in found[1] else "is missing"
            return f"{found[1]} {is_missing}{self._help_of(found[1])}"
        if (found := re.fullmatch(r"argument ([^:]+): (.*)", message, re.DOTALL)) is None:
            return message
        name, said = found.groups()
        if re.fullmatch(r"expected .*arguments?", said):
            return f"{name} needs a value{self._help_of(name)}"
        if said.startswith("ignored explicit argument"):
            return f"{name} takes no value; write {name} alone"
        if (other := re.fullmatch(r"not allowed with argument (.*)", said)) is not None:
            return f"{name} and {other[1]} exclude each other; leave one out"
        return f"{name}: {said}"

    def _help_of(self, names: str) -> str:
        """What the help says of an option or an argument that was left out; nothing of several."""
        for action in self._actions:
            if names in ("/".join(action.option_strings), action.metavar, action.dest) and action.help:
                given = f" {action.metavar}" if action.option_strings and isinstance(action.metavar, str) else ""
                return f", {names}{given}: {action.help % {'default': action.default}}"
        return ""

    def _meant(self, typed: str, known: Sequence[str]) -> str:
        import difflib  # takes time to import, and is needed by nobody who types well

        close = difflib.get_close_matches(typed, dict.fromkeys(known), n=2, cutoff=_CLOSE)
        return f"; did you mean {' or '.join(close)}?" if close else ""

    def _check_value(self, action: argparse.Action, value: object) -> None:
        """As argparse's own, in the same words under every version of Python."""
        if action.choices is None or value in action.choices:
            return
        known = [str(each) for each in action.choices]
        if isinstance(action, argparse._SubParsersAction):
            meant = self._meant(str(value), known) or "; relaysim --help lists all"
            self.error(f"there is no command {str(value)!r}{meant}")
        meant = self._meant(str(value), known) or f"; there are: {', '.join(known)}"
        raise argparse.ArgumentError(action, f"there is no {str(value)!r}{meant}")


def cut(line: str) -> str:
    """The line without its middle, which mostly quotes what was typed: the file stands before it, the remedy behind."""
    half = LINE_MAX // 2
    return line if len(line) <= LINE_MAX else f"{line[:half]} ... {line[-half:]}"
