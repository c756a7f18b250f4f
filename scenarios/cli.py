"""The `relaysim` command: its parser, and how it ends.

Results go to standard output, progress and errors to standard error. Exit codes: 0 every verdict as expected, 1 one is
not, 2 bad usage or a bad file, 3 the only unexpected ones are inconclusive, 4 non-determinism found, 130 interrupted.

Modules of the current directory can be named (`--factory my_bot:make`): what is installed comes first, and then they do.

Whatever takes time to import is imported by the command that needs it, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import io
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NoReturn

import relaysim
from relaysim.scenarios.argument_parser import ArgumentParser, cut
from relaysim.scenarios.commands import (
    ablate,
    compare,
    completion,
    demo,
    docs,
    doctor,
    explore,
    figures,
    fit,
    judge,
    list_scenarios,
    replay,
    report,
    run,
    serve,
    sweep,
    tune,
    verify,
)
from relaysim.scenarios.commands.command_line import EXIT_INTERRUPTED, EXIT_USAGE, UsageError, stop_output
from relaysim.scenarios.docs_pages import EXAMPLES, PAGES, lines_to_type
from relaysim.scenarios.system_errors import printable, reason_of

PATIENCE_VARIABLE: Final = "RELAYSIM_PATIENCE"
"""What the watchdog reads; written out here, because the simulator is not imported for `--help`."""

_COLLECTED_AFTER: Final = 50_000
"""Objects after which a command's process looks for garbage; after Python's own 700, a sixth of the start is looking."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code. `argv` is without the command's own name; by default `sys.argv`."""
    if argv is None:  # in a process of its own, which imports 1,600 modules, most of them before its first world
        gc.set_threshold(_COLLECTED_AFTER)
    if sys.stdout is None:  # closed by whoever started us
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a text may hold what the terminal's encoding has not
    try:
        typed, program = _without_program(list(sys.argv[1:] if argv is None else argv))
        arguments, unknown = command_parser().parse_known_args(typed)
        if program:
            arguments.program = program
        if unknown:
            arguments.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    except SystemExit as stop:  # argparse has said what is wrong, or printed the help
        return stop.code if isinstance(stop.code, int) else EXIT_USAGE
    except UsageError as error:
        _complain(str(error))
        return EXIT_USAGE
    try:
        if importlib.util.find_spec("simpy") is None:
            raise UsageError(_install_the_simulator())
        with _patience(getattr(arguments, "patience", None)):
            status: int = arguments.command(arguments)
    except ModuleNotFoundError:
        if not _absent_requirements():
            raise
        _complain(_install_the_simulator())
        return EXIT_USAGE
    except KeyboardInterrupt:
        print("relaysim: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except UsageError as error:
        _complain(str(error), error.page or getattr(error.__cause__, "page", ""))
        return EXIT_USAGE
    except RecursionError:
        _complain("something that was given lies too deep inside itself to be read, such as thousands of nested lists")
        return EXIT_USAGE
    finally:
        written = _flush()
    return status if written else EXIT_USAGE


def _without_program(typed: list[str]) -> tuple[list[str], list[str]]:
    """What was typed, and after a `--` of the command `judge` a program with options of its own."""
    if typed[:1] != ["judge"] or "--" not in typed:
        return typed, []
    place = typed.index("--")
    return typed[:place], typed[place + 1 :]


@contextmanager
def _patience(seconds: float | None) -> Iterator[None]:
    """Let the watchdog of this process, and of those that it starts, wait so long; see `relaysim.sim.kernel.watchdog`."""
    if seconds is None:
        yield
        return
    before = os.environ.get(PATIENCE_VARIABLE)
    os.environ[PATIENCE_VARIABLE] = str(seconds)
    try:
        yield
    finally:
        os.environ.pop(PATIENCE_VARIABLE, None)
        if before is not None:
            os.environ[PATIENCE_VARIABLE] = before


def _absent_requirements() -> list[str]:
    """Names of the distributions of the extra `sim` that are not installed: all of them, where only the relay is.

    A copy of the source that was never installed has no list of them.
    """
    import importlib.metadata  # takes as long as the rest of the help

    try:
        requirements = importlib.metadata.requires("relaysim") or []
    except importlib.metadata.PackageNotFoundError:
        return []
    of_simulator = [re.match(r"[\w.-]+", line) for line in requirements if re.search(r"""extra == ["']sim["']""", line)]
    return [found[0] for found in of_simulator if found and not _is_installed(found[0])]


def _install_the_simulator() -> str:
    absent = ", ".join(_absent_requirements()) or "simpy"
    return f"the simulator is not installed (missing: {absent}); install it with: pip install 'relaysim[sim]'"


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


class _Version(argparse.Action):
    """`--version`: the version of the installed distribution, looked up only when asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        print(f"relaysim {relaysim.__version__}")
        parser.exit()


def _complain(text: str, page: str = "") -> None:
    """Print what is wrong, a line each. `page` tells how what is wrong is written: behind the first line."""
    lines = [cut(printable(line)) for line in text.splitlines()] or [""]
    more = f" (more: {lines_to_type(page.split(', '))})" if page else ""
    if len(lines) == 1:
        print(f"relaysim: {lines[0]}{more}", file=sys.stderr)
        return
    print(f"relaysim: {len(lines)} problems{more}", file=sys.stderr)
    for line in lines:
        print(f"  {line}", file=sys.stderr)


def _flush() -> bool:
    """Whether what was printed went out. A reader who has gone away does not count."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        stop_output()
    except OSError as error:
        stop_output()
        _complain(f"standard output: cannot be written: {reason_of(error)}")
        return False
    return True


def command_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = ArgumentParser(
        prog="relaysim",
        description="Run a chat relay in virtual time against a simulated conversation API; judge claims about it.",
        epilog="exit codes: 0 every verdict as expected (of a relay of your own: safe), 1 not (not safe), 2 usage or a bad "
        "file, 3 inconclusive (neither is shown), 4 non-determinism found, 130 interrupted",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(
        name: str,
        add_arguments: Callable[[argparse.ArgumentParser], None],
        run: Callable[[argparse.Namespace], int],
        help_text: str,
        *,
        has_results: bool = True,
    ) -> None:
        made = commands.add_parser(name, help=help_text, description=help_text, allow_abbrev=False)
        made.set_defaults(command=run, parser=made)
        made.pages, made.examples = PAGES[name], EXAMPLES[name]
        if has_results:
            made.add_argument("--json", action="store_true", help="print the results as JSON")
        add_arguments(made)

    command(
        "run",
        run.add_arguments,
        run.run,
        "Run one world of a scenario.",
    )
    command(
        "verify",
        verify.add_arguments,
        verify.verify,
        "Run scenarios and judge their claims; by default all of the incident.",
    )
    command(
        "judge",
        judge.add_arguments,
        judge.judge,
        "Judge any program from outside, in real time: relaysim judge --provider whatsapp -- node server.js",
    )
    command(
        "explore",
        explore.add_arguments,
        explore.explore,
        "Look for a world in which a promise is broken, and shrink it to a short story.",
    )
    command(
        "compare",
        compare.add_arguments,
        compare.compare,
        "Run several policies in the same worlds, and say how far they lie apart.",
    )
    command(
        "ablate",
        ablate.add_arguments,
        ablate.ablate,
        "Take the safeguards of the policy drain away one by one; the judge must notice.",
    )
    command(
        "fit",
        fit.add_arguments,
        fit.run,
        "Read production logs: what they say of the claims, and a profile fitted to them.",
    )
    command(
        "sweep",
        sweep.add_arguments,
        sweep.sweep,
        "Run one scenario at many points; what is done is kept, and a later run goes on.",
    )
    command(
        "tune",
        tune.add_arguments,
        tune.tune,
        "Search a policy's settings, and judge the best on seeds it never saw.",
    )
    command(
        "replay",
        replay.add_arguments,
        replay.run,
        "Show one world as a timeline: what went wrong first, and why.",
    )
    command(
        "report",
        report.add_arguments,
        report.report,
        "Print the answer of a run again, or what is new, resolved and ongoing between two.",
    )
    command(
        "figures",
        figures.add_arguments,
        figures.run,
        "Write the figures of a run for your own slides: SVG, PNG and PDF, with titles of your own.",
    )
    command(
        "doctor",
        doctor.add_arguments,
        doctor.run,
        "Find out whether a seed is one world, and if not, which line of code is to blame.",
    )
    command(
        "serve",
        serve.add_arguments,
        serve.run,
        "Serve the simulated API on a real socket, until a signal stops it.",
    )
    command(
        "demo",
        demo.add_arguments,
        demo.run,
        "Chat in the browser with the relay as a program, on the simulated API, and let things go wrong.",
        has_results=False,
    )
    command(
        "list",
        list_scenarios.add_arguments,
        list_scenarios.run,
        "List the shipped scenarios with their claims and expected verdicts.",
    )
    command(
        "docs",
        docs.add_arguments,
        docs.run,
        "Print a page of the documents, or list them all.",
        has_results=False,
    )
    command(
        "completion",
        completion.add_arguments,
        lambda arguments: completion.run(arguments, parser),
        "Print what lets a shell complete this command's names, options and files.",
        has_results=False,
    )
    parser.names = list(commands.choices)
    return parser


if __name__ == "__main__":
    sys.exit(main())
