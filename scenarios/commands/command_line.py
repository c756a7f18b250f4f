"""What the commands share: options, numbers and names on the command line, the scenarios that they name, what is printed,
and what the user can put right."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relaysim.scenarios.system_errors import reason_of
from relaysim.sim.backends import BACKENDS

if TYPE_CHECKING:
    from rich.console import Console

    from relaysim.scenarios.model import Scenario

EXIT_USAGE = 2
EXIT_NOT_DETERMINISTIC = 4
EXIT_INTERRUPTED = 130

COUNT_MAX = 1_000_000_000
"""More of anything than this is a slip of the finger: a billion worlds take weeks."""

_SET_HELP = (
    "set one value of the scenario, e.g. relay.settings.first_wait_seconds=1 or workload.messages[1].at_seconds=2.5; "
    "VALUE as in TOML, or else a text; can be given several times"
)
_FACTORY_HELP = (
    "put another relay in place of the scenario's: a function called with the OpenAI client, the Redis client and a "
    "`send(conversation, text)` coroutine, which returns an object with `async handle(message)`; or a web application, "
    "which needs a --provider; modules of the current directory are found"
)
PROVIDERS = ("whatsapp", "twilio", "evolution", "telegram", "slack", "custom")
"""Those of `relaysim.sim.providers`, which takes long to import; a test compares them."""
_POLICY_HELP = "put the policy of this file in place of the scenario's relay; --set comes after it"


class UsageError(ValueError):
    """Something that the user can put right; the message says what, one line per problem, and `page` where to read more."""

    def __init__(self, message: str, *, page: str = "") -> None:
        super().__init__(message)
        self.page = page


def whole_number(text: str, low: int, high: float, what: str) -> int:
    """A whole number from `low` to `high`, for `argparse`; underscores may group its digits. `what` says what it must be."""
    try:
        value = int(text.replace("_", ""))
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"must be {what}, not {_quoted(text)}")
    return value


def _quoted(text: str) -> str:
    return repr(text) if len(text) <= 60 else f"{text[:60]!r}... ({len(text):,} characters)"


def positive_int(text: str) -> int:
    """A whole number, 1 to `COUNT_MAX`, for `argparse`."""
    value = whole_number(text, 1, math.inf, "a whole number, 1 or more")
    if value > COUNT_MAX:
        raise argparse.ArgumentTypeError(f"must be {COUNT_MAX:,} or fewer")
    return value


def non_negative_int(text: str) -> int:
    """A whole number, 0 or more, for `argparse`."""
    return whole_number(text, 0, math.inf, "a whole number, 0 or more")


def seconds(text: str) -> float:
    """A number of seconds, 0 or more, for `argparse`."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of seconds, 0 or more, not {text!r}")
    return value


def share(text: str) -> float:
    """A number above 0 and below 1, for `argparse`."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"must be a number above 0 and below 1, not {text!r}")
    return value


def names(text: str) -> list[str]:
    """Names with commas in between, for `argparse`."""
    return [each.strip() for each in text.split(",") if each.strip()]


def folder(text: str) -> Path:
    """The path of a folder, for `argparse`. An empty one is mostly a shell's variable that is not set."""
    if not text:
        raise argparse.ArgumentTypeError("is empty; for the current folder give .")
    if "\0" in text:
        raise argparse.ArgumentTypeError("holds a null character, which no name of a folder can")
    return Path(text)


def non_empty(text: str) -> str:
    """A name, for `argparse`."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty")
    return text


def add_lane(parser: argparse.ArgumentParser) -> None:
    """How worlds are run: `--lane` and `--patience`."""
    parser.add_argument("--lane", choices=("sdk", "direct"), help="sdk: with the SDK's own code; direct: without it")
    parser.add_argument(
        "--patience",
        type=seconds,
        metavar="SECONDS",
        help="processor time after which a relay that does not come back is given up (a whole world: twenty times as much); "
        "by default 30, 0 for never",
    )


def add_sets(parser: argparse.ArgumentParser, metavar: str = "PATH=VALUE", help_text: str = _SET_HELP) -> None:
    """`--set`."""
    parser.add_argument("--set", action="append", default=[], metavar=metavar, dest="sets", help=help_text)


def add_api(parser: argparse.ArgumentParser) -> None:
    """`--api`, where there is `--set`."""
    parser.add_argument(
        "--api",
        action=_Api,
        metavar="NAME",
        help=f"which API the relay talks to: {', '.join(BACKENDS)}; by default the scenario's",
    )


def add_world(parser: argparse.ArgumentParser) -> None:
    """What can be put in place of a scenario's own: `--lane`, `--set`, `--api`, and `--factory` or `--policy`; and
    `--patience`."""
    add_lane(parser)
    add_sets(parser)
    add_api(parser)
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--factory", "--app", action=_Factory, metavar="MODULE:NAME", dest="factory", help=_FACTORY_HELP)
    parser.set_defaults(factory_option="--factory")
    other.add_argument("--policy", metavar="FILE.toml", help=_POLICY_HELP)
    parser.add_argument(
        "--libraries",
        action=_Libraries,
        type=non_empty,
        metavar="DIR",
        help="folder of the relay's own versions of libraries, such as the site-packages of its environment "
        "(docs/own-clients.md); as --set relay.libraries=DIR",
    )
    parser.add_argument(
        "--provider",
        action=_Provider,
        choices=PROVIDERS,
        help="whose webhooks the relay gets, and who takes its texts (docs/providers.md); by default the scenario's",
    )
    parser.add_argument(
        "--path",
        action=_Path,
        type=non_empty,
        metavar="PATH",
        help="path of the relay's webhook, as --set provider.path=PATH",
    )


class _Factory(argparse.Action):
    """Notes the relay, and by which of the two options it was named."""

    def __call__(self, parser: object, namespace: argparse.Namespace, values: Any, option: str | None = None) -> None:
        namespace.factory, namespace.factory_option = values, option


class _Api(argparse.Action):
    """Names the scenario's API, before any other `--set` changes it.

    Raises:
        UsageError: there is no such API. An error of argparse's own would print the whole usage before it.
    """

    def __call__(self, parser: object, namespace: argparse.Namespace, values: Any, option: str | None = None) -> None:
        if values not in BACKENDS:
            from relaysim.sim.validation_words import did_you_mean

            suggestion = did_you_mean(values, tuple(BACKENDS), what="there are")
            raise UsageError(f"--api {values}: there is no simulated API {values!r}; {suggestion}")
        namespace.sets = [f'api="{values}"', *namespace.sets]


class _Libraries(argparse.Action):
    """Sets the folder in `[relay]`."""

    def __call__(self, parser: object, namespace: argparse.Namespace, values: Any, option: str | None = None) -> None:
        namespace.sets = [*namespace.sets, f"relay.libraries={json.dumps(values)}"]


class _Provider(argparse.Action):
    """Puts a table in place of the scenario's `[provider]`, before any other `--set` changes it."""

    def __call__(self, parser: object, namespace: argparse.Namespace, values: Any, option: str | None = None) -> None:
        namespace.sets = [f'provider={{ kind = "{values}" }}', *namespace.sets]


class _Path(argparse.Action):
    """Sets the path in `[provider]`."""

    def __call__(self, parser: object, namespace: argparse.Namespace, values: Any, option: str | None = None) -> None:
        namespace.sets = [*namespace.sets, f"provider.path={json.dumps(values)}"]


def add_jobs(parser: argparse.ArgumentParser) -> None:
    """`--jobs`."""
    parser.add_argument("--jobs", type=positive_int, metavar="N", help="processes; by default one per processor")


def add_results(
    parser: argparse.ArgumentParser, *, name: str | None = None, out: str = "folder of the results"
) -> None:
    """Where results go, and what is said meanwhile: `--out` or `--name`, and `--quiet`.

    `name` is what the folder below reports/out is called by default, `out` the help on `--out`.
    """
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--out", type=folder, metavar="DIR", help=out)
    place.add_argument(
        "--name", type=non_empty, default=name, metavar="NAME", help="name of the folder below reports/out"
    )
    parser.add_argument("--full", action="store_true", help="print every table behind the answer, as the page has them")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def load_scenarios(names: Sequence[str], arguments: argparse.Namespace) -> list[Scenario]:
    """The scenarios of these names or paths, with what `add_world` asked for. Raises UsageError, a line per problem."""
    from relaysim.scenarios.load import load_all
    from relaysim.scenarios.problems import ScenarioError
    from relaysim.scenarios.runner import here_on_path

    here_on_path()
    try:
        if arguments.policy is not None:
            from relaysim.scenarios.policy import load_all_with_policy

            return load_all_with_policy(names, arguments.policy, arguments.sets)
        return load_all(names, arguments.sets, arguments.factory, arguments.factory_option)
    except ScenarioError as error:
        raise UsageError(str(error)) from error


def say(text: str) -> None:
    """Print a result at once: a program may wait for it. A reader who has gone away changes nothing about the exit code."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        stop_output()
    except OSError as error:
        raise _not_written(error) from error


def _not_written(error: OSError) -> UsageError:
    stop_output()
    return UsageError(f"standard output: cannot be written: {reason_of(error)}")


def say_json(data: Any) -> None:
    """Print data as JSON."""
    say(json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False))


def show(draw: Callable[[Console], None]) -> None:
    """Let results be drawn on standard output. A reader who has gone away changes nothing about the exit code."""
    from relaysim.reports.terminal import console_for

    try:
        draw(console_for(sys.stdout))
        sys.stdout.flush()
    except BrokenPipeError:
        stop_output()
    except OSError as error:
        raise _not_written(error) from error


def show_answer(
    results: Mapping[str, Any],
    files: Sequence[tuple[str, Path]],
    rest: Callable[[Console, Mapping[str, Any]], None] | None = None,
) -> None:
    """Draw the answer of some results on standard output, and then the rest of them, if that is asked for.

    `files` are named at the answer's end, as (name, path).
    """
    from relaysim.reports.answer_terminal import print_answer
    from relaysim.reports.answers import answer_of

    def draw(console: Console) -> None:
        print_answer(console, answer_of(results), files=files, full=rest is not None)
        if rest is not None:
            console.print()
            rest(console, results)

    show(draw)


JOURNAL, STUDY = "chunks.jsonl", "study.db"
"""What a sweep and a search go on from, in their folders."""


@contextmanager
def writing() -> Iterator[None]:
    """While results are written: what the file system refuses is a UsageError."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"the results cannot be written: {error}") from error


def say_results(arguments: argparse.Namespace, results: Mapping[str, Any], otherwise: Callable[[], None]) -> None:
    """Print results as JSON with `--json`; without it call what prints them for people."""
    from relaysim.reports.results import canonical

    if arguments.json:
        say(canonical(results).rstrip("\n"))
    else:
        otherwise()


def checked_folder(name: str, out: Path | None, *, own: str = "") -> Path:
    """The folder of a run's results, made; to be asked for before an hour's work.

    Raises UsageError if it cannot be made, and if another command goes on from what is in it, whose results would be lost:
    `JOURNAL` or `STUDY`, but for the command's `own`.
    """
    from relaysim.reports.runs import results_folder

    try:
        made = results_folder(name, out)
    except ValueError as error:
        raise UsageError(f"--name {name}: {error}") from error
    except OSError as error:
        option = f"--out {out}" if out is not None else f"reports/out/{name}"
        raise UsageError(f"{option}: cannot be made: {reason_of(error)}") from error
    for file, command in ((JOURNAL, "sweep"), (STUDY, "tune")):
        if file != own and (made / file).exists():
            raise UsageError(
                f"{made}: has the results of `relaysim {command}`, which goes on from {file} there; name another folder "
                "with --out"
            )
    return made


def stop_output() -> None:
    """Print nothing more: otherwise the interpreter complains again when it flushes at its end."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parser of each command, in the order of the help; argparse has no public way to them."""
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return dict(commands.choices)
