"""The command `serve`: the simulated API on a real socket, until a signal stops it.

Importing this module imports nothing that takes time; `serve` does.
"""

from __future__ import annotations

import argparse
import errno
import json
import math
import os
import signal
import sys
import tomllib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relaysim.scenarios.command_line import UsageError

if TYPE_CHECKING:
    import asyncio

    from pydantic import BaseModel

    from relaysim.scenarios.document import Document
    from relaysim.scenarios.problems import Problem
    from relaysim.sim.openai.server.app import SimulatedServer
    from relaysim.sim.openai.simulation import ApiSettings

PORT = 8017
SPEED_MAX = 1_000_000
FILES_BESIDE_CONNECTIONS = 100


# The command line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="HOST", help="where to listen; by default this machine only"
    )
    parser.add_argument("--port", type=_port, default=PORT, metavar="N", help=f"port, 0: a free one; by default {PORT}")
    parser.add_argument(
        "--profile",
        default="typical",
        metavar="PROFILE",
        help="a shipped profile's name, or a path; by default typical",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NUMBER=VALUE",
        dest="sets",
        help="change a number of the profile, e.g. run_seconds.median=2; can be given several times",
    )
    parser.add_argument("--faults", metavar="FILE", help="a TOML file with [[faults]] tables, as in scenarios")
    parser.add_argument(
        "--replies", metavar="FILE", help="a TOML file that says what assistants answer; by default an echo"
    )
    parser.add_argument(
        "--speed",
        type=_speed,
        default=1.0,
        metavar="X",
        help="virtual seconds per real second; 0: the clock stands still and moves by the control API only",
    )
    parser.add_argument("--seed", type=_whole, default=0, metavar="N", help="keys every draw; by default 0")
    known = parser.add_mutually_exclusive_group()
    known.add_argument(
        "--assistant",
        action="append",
        default=[],
        metavar="ID",
        dest="assistants",
        help="an assistant that exists from the beginning; can be given several times",
    )
    known.add_argument("--any-assistant", action="store_true", help="every well-formed assistant id is one")
    parser.add_argument(
        "--key",
        action="append",
        metavar="KEY",
        dest="keys",
        help="an API key that is let in; by default any; can be given several times",
    )
    parser.add_argument("--no-latency", action="store_true", help="requests take no time of the profile's")
    parser.add_argument("--poll-after-ms", type=_whole, metavar="N", help="send openai-poll-after-ms with each run")
    parser.add_argument("--connections-max", type=_count, metavar="N", help="connections that are served at once")
    parser.add_argument("--threads-max", type=_count, metavar="N", help="threads that are kept; the idlest go first")
    parser.add_argument(
        "--start-time",
        type=_instant,
        metavar="TIME",
        help="what time it is at the start, in ISO 8601, or `now`; by default now, or at speed 0 2025-11-04T12:00:00Z",
    )


def _number(text: str, low: int, high: float, what: str) -> int:
    try:
        value = int(text.replace("_", ""))
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"must be {what}, not {text!r}")
    return value


def _port(text: str) -> int:
    return _number(text, 0, 65535, "a port, 0 to 65535")


def _whole(text: str) -> int:
    return _number(text, 0, math.inf, "a whole number, 0 or more")


def _count(text: str) -> int:
    return _number(text, 1, math.inf, "a whole number, 1 or more")


def _speed(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= SPEED_MAX:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to {SPEED_MAX:,}, not {text!r}")
    return value


def _instant(text: str) -> float:
    if text == "now":
        return datetime.now(UTC).timestamp()
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a time such as 2025-11-04T12:00:00Z, or now, not {text!r}") from None
    return (given if given.tzinfo is not None else given.replace(tzinfo=UTC)).timestamp()


# From options and files to settings


def settings_from(arguments: argparse.Namespace) -> ApiSettings:
    """The settings that the options and their files ask for.

    Raises:
        relaysim.scenarios.problems.ScenarioError: with everything that is wrong with them.
    """
    from relaysim.scenarios.problems import Problem, ScenarioError
    from relaysim.sim.openai.simulation import ApiSettings

    problems: list[Problem] = []
    overrides = _read_profile(arguments.profile, arguments.sets, problems)
    faults = _read_faults(arguments.faults, problems)
    replies = _read_replies(arguments.replies, problems)
    for given in arguments.assistants:
        if not given.startswith("asst_"):
            problems.append(Problem(f"--assistant {given}", "", "is no assistant's id", "ids begin with `asst_`"))
    if problems:
        raise ScenarioError(list(dict.fromkeys(problems)))
    chosen = {"replies": replies, "threads_max": arguments.threads_max}
    return ApiSettings(
        profile=arguments.profile,
        overrides=overrides,
        faults=faults,
        seed=arguments.seed,
        assistants="any" if arguments.any_assistant else tuple(arguments.assistants),
        keys=None if arguments.keys is None else tuple(arguments.keys),
        poll_after_ms=arguments.poll_after_ms,
        latency=not arguments.no_latency,
        **{name: value for name, value in chosen.items() if value is not None},
    )


def _read_profile(named: str, sets: Sequence[str], problems: list[Problem]) -> dict[str, Any]:
    """The overrides that `--set` makes; the profile with them is checked."""
    from relaysim.scenarios.document import PathError, format_path, parse_path, parse_setting, set_value
    from relaysim.scenarios.problems import Problem, did_you_mean, findings_of, unreadable
    from relaysim.sim.openai.profile import Profile, override, read_profile_table, shipped_profiles

    overrides: Document = {}
    typed: dict[str, str] = {}
    for each in sets:
        try:
            path, value = parse_setting(each)
            set_value(overrides, path, value)
        except PathError as error:
            problems.append(Problem(f"--set {each}", "", str(error)))
        else:
            typed[path] = each
    overrides = {key: _constant(key, value) for key, value in overrides.items()}

    where = f"--profile {named}"
    try:
        table = read_profile_table(named)
    except FileNotFoundError:
        if named.endswith(".toml"):
            problems.append(Problem(where, "", "there is no such file"))
        else:
            said = did_you_mean(named, shipped_profiles(), what="shipped are")
            problems.append(
                Problem(where, "", f"there is no profile {named!r}", f"{said} (or give a path that ends in .toml)")
            )
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        problems.append(Problem(where, "", unreadable(error)))
        return {}
    merged = override(table, overrides)
    findings = findings_of(Profile, merged)
    unknown = any(key not in Profile.model_fields for key in overrides)
    for finding in findings:
        if unknown and finding.steps == ("basis",):
            continue  # says of the unknown key that it has a basis
        file = named if named.endswith(".toml") else f"profile {named}"
        if finding.steps and finding.steps[0] in overrides:
            # The setting of that very place, or else one of the same table.
            near = {path: each for path, each in typed.items() if parse_path(path)[0] == finding.steps[0]}
            file = f"--set {near.get(format_path(finding.steps), next(iter(near.values())))}"
        problems.append(Problem(file, format_path(finding.steps), finding.message, finding.suggestion))
    return overrides


def _constant(key: str, value: Any) -> Any:
    """A number in place of a distribution of seconds is always that long, as in scenarios."""
    from relaysim.sim.openai.profile import Profile

    field = Profile.model_fields.get(key)
    if field is None or not isinstance(value, (int, float)) or isinstance(value, bool):
        return value
    return {"kind": "constant", "value": value} if key.endswith("_seconds") else value


def _read_faults(path: str | None, problems: list[Problem]) -> Any:
    document = _read_file("--faults", path, problems)
    if document is None:
        return ()

    from pydantic import BaseModel, ConfigDict, Field

    from relaysim.sim.openai.faults import ApiFault

    class Faults(BaseModel):
        model_config = ConfigDict(extra="forbid", frozen=True)
        faults: tuple[ApiFault, ...] = Field(description="[[faults]] tables, in order of precedence")

    made = _checked(Faults, document, str(path), problems)
    return () if made is None else made.faults


def _read_replies(path: str | None, problems: list[Problem]) -> Any:
    document = _read_file("--replies", path, problems)
    if document is None:
        return None

    from pydantic import BaseModel, ConfigDict, Field

    from relaysim.scenarios.runner import here_on_path
    from relaysim.sim.openai.replies import Replies

    class Answers(BaseModel):
        model_config = ConfigDict(extra="forbid", frozen=True)
        replies: Replies = Field(description="what assistants answer")

    here_on_path()
    made = _checked(Answers, {"replies": document}, str(path), problems, below=1)
    return None if made is None else made.replies


def _read_file(option: str, path: str | None, problems: list[Problem]) -> Document | None:
    from relaysim.scenarios.problems import Problem, unreadable

    if path is None:
        return None
    try:
        return tomllib.loads(Path(path).read_bytes().decode("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        problems.append(Problem(f"{option} {path}", "", unreadable(error)))
        return None


def _checked(
    model: type[BaseModel], document: Mapping[str, Any], file: str, problems: list[Problem], *, below: int = 0
) -> Any:
    """The model of a document, if nothing is wrong with it. `below`: how many steps of a place are not in the file."""
    from relaysim.scenarios.document import format_path
    from relaysim.scenarios.problems import Problem, findings_of

    findings = findings_of(model, document)
    for finding in findings:
        problems.append(Problem(file, format_path(finding.steps[below:]), finding.message, finding.suggestion))
    return None if findings else model.model_validate(document)


# Serving


def run(arguments: argparse.Namespace) -> int:
    """The command."""
    from relaysim.scenarios.problems import ScenarioError

    try:
        return serve(arguments)
    except ScenarioError as error:
        raise UsageError(str(error)) from error


def serve(arguments: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM; the exit code.

    Raises:
        relaysim.scenarios.problems.ScenarioError: bad options or files, or an address that cannot be listened on.
    """
    import asyncio

    settings = settings_from(arguments)

    from relaysim.sim.openai.server.app import SimulatedServer

    server = SimulatedServer(settings, arguments.speed, arguments.start_time)
    asyncio.run(_serve(server, arguments))
    return 0


def _affordable(connections_max: int) -> int:
    """How many connections this process may have: raises its limit of open files, and takes fewer where that is too low.

    Each connection is a file, and as many more are taken for a moment in order to be told that there are too many.
    """
    try:
        import resource
    except ImportError:  # no such limit here
        return connections_max
    needed = 2 * connections_max + FILES_BESIDE_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return connections_max
    files = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    except (ValueError, OSError):
        files = soft
    most = max(1, (files - FILES_BESIDE_CONNECTIONS) // 2)
    if most < connections_max:
        print(
            f"relaysim: at most {most} connections instead of {connections_max}: this process may open {files} files "
            "(ulimit -n)",
            file=sys.stderr,
        )
    return min(most, connections_max)


async def _serve(server: SimulatedServer, arguments: argparse.Namespace) -> None:
    import asyncio

    from relaysim.sim.openai.server.listener import Listener, own_process
    from relaysim.sim.openai.server.protocol import CONNECTIONS_MAX

    connections_max = _affordable(arguments.connections_max or CONNECTIONS_MAX)
    listener = Listener(server, arguments.host, arguments.port, connections_max)
    stop = asyncio.Event()
    release = _on_signals(stop)
    try:
        await listener.start()
    except OSError as error:
        raise _cannot_listen(arguments, error) from error
    _warn_of_strangers(arguments.host)
    started = {
        "base_url": listener.base_url,
        "control_url": listener.control_url,
        "profile": arguments.profile,
        "speed": arguments.speed,
        "seed": arguments.seed,
        "assistants": "any" if arguments.any_assistant else arguments.assistants,
    }
    if arguments.json:
        _say(json.dumps(started, ensure_ascii=False))
    else:
        _say(f"The simulated Threads API is at {listener.base_url}")
        _say(f"  control      {listener.control_url}")
        _say(f"  profile      {arguments.profile}, speed {arguments.speed:g}, seed {arguments.seed}")
        _say(f"  assistants   {_assistants_hint(arguments)}")
        _say(f"  clients      OPENAI_BASE_URL={listener.base_url}, with {_keys_hint(arguments)}")
    own_process()
    await stop.wait()
    release()  # a second signal ends the process at once
    await listener.stop()
    _say_counts(server, as_json=arguments.json)


def _on_signals(stop: asyncio.Event) -> Any:
    """Let SIGINT and SIGTERM set the event; returns what gives them back."""
    import asyncio

    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    try:
        for each in signals:
            loop.add_signal_handler(each, stop.set)
    except NotImplementedError:  # Windows
        before = [signal.signal(each, lambda *_: loop.call_soon_threadsafe(stop.set)) for each in signals]
        return lambda: [signal.signal(each, old) for each, old in zip(signals, before, strict=True)]
    return lambda: [loop.remove_signal_handler(each) for each in signals]


def _cannot_listen(arguments: argparse.Namespace, error: OSError) -> Exception:
    import socket

    from relaysim.scenarios.problems import Problem, ScenarioError

    port = f"--port {arguments.port}"
    if error.errno == errno.EADDRINUSE:
        problem = Problem(port, "", "is in use", "give another port, or 0 for a free one")
    elif error.errno == errno.EACCES:
        problem = Problem(port, "", "may not be listened on by this user", "give one above 1023, or 0 for a free one")
    else:
        said = (error.strerror or str(error)).lower()
        what = "is no host of this machine" if isinstance(error, socket.gaierror) else "cannot be listened on"
        problem = Problem(
            f"--host {arguments.host}", "", f"{what}: {said}", "give 127.0.0.1, or 0.0.0.0 for everywhere"
        )
    return ScenarioError([problem])


def _warn_of_strangers(host: str) -> None:
    import ipaddress

    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    if not local:
        said = "whoever reaches this machine can use the simulator and, through its control API, change it"
        print(f"relaysim: warning: --host {host}: {said}", file=sys.stderr)


def _assistants_hint(arguments: argparse.Namespace) -> str:
    if arguments.any_assistant:
        return "any id of the form asst_..."
    created = "those that clients create"
    if arguments.assistants:
        return f"{', '.join(arguments.assistants)}, and {created}"
    return f"only {created} (more: --assistant ID, --any-assistant)"


def _keys_hint(arguments: argparse.Namespace) -> str:
    return "any API key" if arguments.keys is None else "one of the API keys given by --key"


def _say_counts(server: SimulatedServer, *, as_json: bool) -> None:
    plan = server.api.faults
    never = [
        f"faults[{number}] ({fault.kind} on {fault.route})"
        for number, (fault, fired) in enumerate(zip(plan.faults, plan.fired, strict=True))
        if not fired
    ]
    if as_json:
        counts = {"requests": server.requests, "faults_fired": server.faults_fired, "never_fired": never}
        _say(json.dumps({**counts, "simulator_errors": server.errors}, ensure_ascii=False))
        return
    said = f"{server.requests:,} requests, {server.faults_fired:,} faults fired"
    if never:
        said += f"; never fired: {', '.join(never)}"
    if server.errors:
        said += f"; {server.errors:,} errors of the simulator itself, see above"
    _say(said)


def _say(text: str) -> None:
    """Print at once: whoever started the server waits for the line. A reader who has gone away changes nothing."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123
