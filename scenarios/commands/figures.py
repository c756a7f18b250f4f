"""The command `figures`: the figures of a run again, for one's own slides."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relaysim.scenarios.commands.command_line import (
    UsageError,
    folder,
    names,
    say,
    say_json,
    writing,
)
from relaysim.scenarios.commands.read_results import read_run, reading

if TYPE_CHECKING:
    from relaysim.reports.drawing import Drawing

_ALL = "without this option all are written and named"

SLIDES = "slides"
"""The folder in a run's own that figures are written to."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog = (
        "relaysim figures --only latency --title latency='Nobody waits for a minute any more' --format png --theme dark"
    )
    parser.add_argument(
        "run",
        nargs="?",
        metavar="RUN",
        help="a folder of results, or a results.json; by default reports/out/latest",
    )
    parser.add_argument(
        "--only", type=names, metavar="NAMES", help="these figures, with commas in between; by default all"
    )
    parser.add_argument(
        "--format",
        type=names,
        default=["svg", "png", "pdf"],
        metavar="FORMATS",
        dest="formats",
        help="svg, png and pdf (the default), or some of them, with commas in between",
    )
    parser.add_argument(
        "--title",
        action="append",
        default=[],
        metavar="NAME=TEXT",
        dest="titles",
        help="what stands above a figure, by its name (with no TEXT: nothing), or what figures call a claim, by its id; can "
        "be given several times",
    )
    parser.add_argument(
        "--theme", choices=("light", "dark"), default="light", help="for slides that are light (the default) or dark"
    )
    parser.add_argument("--transparent", action="store_true", help="nothing behind the figures: the slide is seen")
    parser.add_argument(
        "--out", type=folder, metavar="DIR", help=f"where they are written; by default {SLIDES}/ in the run's folder"
    )


def run(arguments: argparse.Namespace) -> int:
    """The command: always 0, since it judges nothing."""
    from relaysim.reports.figure_files import (
        FORMATS,
        FigureError,
        claim_ids,
        drawings_of,
        with_labels,
        write_figure,
    )

    path = Path(arguments.run) if arguments.run is not None else Path("reports") / "out" / "latest"
    results = read_run(path, given=arguments.run is not None)
    problems = _unknown(arguments.formats, FORMATS, "--format", "format")
    with reading(path):
        drawings, claims = drawings_of(results), claim_ids(results)
    if not drawings:
        raise UsageError(
            f"{path}: these results have no figures; name a run of `verify`, `compare`, `sweep`, `tune` or `fit` that "
            "judged something: relaysim figures RUN",
            page="figures",
        )
    problems += _unknown(arguments.only or [], tuple(drawings), "--only", "figure")
    headings, labels, mistaken = _titles(arguments, drawings, claims)
    if problems + mistaken:
        raise UsageError("\n".join(problems + mistaken))
    if labels:
        drawings = drawings_of(with_labels(results, labels))
    out = arguments.out or (path if path.is_dir() else path.parent) / SLIDES
    written = []
    with writing(), reading(path):
        for name, drawing in drawings.items():
            if arguments.only is not None and name not in arguments.only:
                continue
            try:
                paths = write_figure(
                    out,
                    drawing,
                    [each for each in FORMATS if each in arguments.formats],
                    heading=headings.get(name),
                    theme=arguments.theme,
                    transparent=arguments.transparent,
                )
            except FigureError as error:
                raise UsageError(str(error)) from error
            title = headings.get(name) or drawing.title
            written.append({"name": name, "title": title, "files": [str(each) for each in paths]})
    _tell(arguments, out, written)
    return 0


def _unknown(given: Sequence[str], known: Sequence[str], option: str, what: str) -> list[str]:
    """A line for each that there is not, and one if none is given."""
    from relaysim.sim.validation_words import did_you_mean

    if option == "--format" and not given:
        return [f"{option}: names no {what}; there are: {', '.join(known)}"]
    return [
        f"{option} {each}: there is no {what} {each!r}; {did_you_mean(each, known, what='there are', everything=_ALL)}"
        for each in given
        if each not in known
    ]


def _titles(
    arguments: argparse.Namespace, drawings: Mapping[str, Drawing], claims: Sequence[str]
) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Headings by figure, names by claim, and what is wrong with what was given."""
    from relaysim.sim.validation_words import did_you_mean

    headings: dict[str, str] = {}
    labels: dict[str, str] = {}
    problems = []
    for given in arguments.titles:
        name, equals, text = given.partition("=")
        name, text = name.strip(), " ".join(text.split())
        if not equals:
            problems.append(f"--title {given}: must be NAME=TEXT, such as {next(iter(drawings))}='What one shall see'")
        elif not text.isprintable():
            problems.append(f"--title {name}: {text!r} holds a character that cannot be printed")
        elif name in drawings and arguments.only is not None and name not in arguments.only:
            problems.append(f"--title {name}: the figure is not among those of --only")
        elif name in drawings:
            headings[name] = text
        elif name not in claims:
            suggestion = did_you_mean(name, [*drawings, *claims], what="there are", everything=_ALL)
            problems.append(f"--title {name}: there is no figure and no claim {name!r}; {suggestion}")
        elif not text:
            problems.append(f"--title {name}: a claim needs a name; leave the option out for {name!r}")
        else:
            labels[name] = text
    return headings, labels, problems


def _tell(arguments: argparse.Namespace, out: Path, written: Sequence[Mapping[str, Any]]) -> None:
    if arguments.json:
        say_json({"figures": list(written)})
        return
    for each in written:
        say(f"{each['name']}: {each['title']}")
    files = [Path(file).name for file in written[0]["files"]]
    say(f"Written to {out}, each as {', '.join(Path(file).suffix.removeprefix('.') for file in files)}")
