"""The command `docs`: a page of the documents, as text."""

from __future__ import annotations

import argparse

from relaysim.scenarios.commands.command_line import UsageError, say
from relaysim.scenarios.docs_pages import names, sections_of, text_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "page",
        nargs="?",
        metavar="PAGE",
        help="a page, such as policy-file, or a part of one, such as scenarios#workload; by default all pages are listed",
    )


def run(arguments: argparse.Namespace) -> int:
    """The command: always 0."""
    from relaysim.sim.validation_words import did_you_mean

    known = names()
    if arguments.page is None:
        wide = max(map(len, known))
        for each in known:
            title = text_of(each).partition("\n")[0].removeprefix("# ")
            say(f"{each:{wide}}  {title}")
        return 0
    given, _, section = arguments.page.partition("#")
    name = given.removeprefix("docs/").removesuffix(".md")
    if name not in known:
        suggestion = did_you_mean(name, known, what="there are", everything="`relaysim docs` lists all")
        raise UsageError(f"docs {given}: there is no page {name!r}; {suggestion}")
    text = text_of(name)
    if section:
        sections = sections_of(text)
        if section not in sections:
            suggestion = did_you_mean(
                section, tuple(sections), what="it has", everything=f"`relaysim docs {name}` has all"
            )
            raise UsageError(f"docs {arguments.page}: the page has no part {section!r}; {suggestion}")
        text = sections[section]
    say(text.rstrip("\n"))
    return 0
