"""The command `serve`: the simulated API on a real socket, until a signal stops it."""

from __future__ import annotations

import argparse
import errno
import json
import math
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from relaysim.scenarios.commands.command_line import (
    UsageError,
    add_sets,
    non_negative_int,
    positive_int,
    say,
    whole_number,
)
from relaysim.scenarios.system_errors import reason_of
from relaysim.sim.backends import DEFAULT
from relaysim.sim.counted import counted

if TYPE_CHECKING:
    import asyncio

    from relaysim.sim.doors.server.app import SimulatedServer

PORT = 8017
SPEED_MAX = 1_000_000
FILES_BESIDE_CONNECTIONS = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="HOST", help="where to listen; by default this machine only"
    )
    parser.add_argument(
        "--port", type=port_number, default=PORT, metavar="N", help=f"port, 0: a free one; by default {PORT}"
    )
    parser.add_argument("--api", default=DEFAULT, metavar="NAME", help=f"which API is simulated; by default {DEFAULT}")
    parser.add_argument(
        "--profile",
        default="typical",
        metavar="PROFILE",
        help="a shipped profile's name, or a path; by default typical",
    )
    add_sets(
        parser,
        metavar="NUMBER=VALUE",
        help_text="change a number of the profile, e.g. run_seconds.median=2; can be given several times",
    )
    parser.add_argument("--faults", metavar="FILE", help="a TOML file with [[faults]] tables, as in scenarios")
    parser.add_argument(
        "--replies", metavar="FILE", help="a TOML file that says what assistants answer; by default an echo"
    )
    parser.add_argument(
        "--other-endpoints",
        metavar="FILE",
        help="a TOML file that says what chat completions and transcriptions answer; by default an echo",
    )
    parser.add_argument(
        "--speed",
        type=_speed,
        default=1.0,
        metavar="X",
        help="virtual seconds per real second; 0: the clock stands still and moves by the control API only",
    )
    parser.add_argument("--seed", type=non_negative_int, default=0, metavar="N", help="keys every draw; by default 0")
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
    parser.add_argument(
        "--webhook-url",
        metavar="URL",
        help="where events go that tell of the end of turns in the background (--api responses); by default nowhere",
    )
    parser.add_argument(
        "--webhook-secret", metavar="SECRET", help="signs them: whsec_ and base64; by default one that is printed"
    )
    parser.add_argument("--no-latency", action="store_true", help="requests take no time of the profile's")
    parser.add_argument(
        "--poll-after-ms", type=non_negative_int, metavar="N", help="send openai-poll-after-ms with each run"
    )
    parser.add_argument(
        "--request-log",
        metavar="FILE",
        help="append a line of JSON for each request; - for standard error; by default none",
    )
    parser.add_argument("--connections-max", type=positive_int, metavar="N", help="connections that are served at once")
    parser.add_argument(
        "--threads-max", type=positive_int, metavar="N", help="threads that are kept; the idlest go first"
    )
    parser.add_argument(
        "--start-time",
        type=_instant,
        metavar="TIME",
        help="what time it is at the start, in ISO 8601, or `now`; by default now, or at speed 0 2025-11-04T12:00:00Z",
    )


def port_number(text: str) -> int:
    """A port, for `argparse`."""
    return whole_number(text, 0, 65535, "a port, 0 to 65535")


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

    from relaysim.scenarios.commands.server_settings import settings_from
    from relaysim.sim.doors.server.app import SimulatedServer

    settings = settings_from(arguments)
    with _request_log(arguments.request_log) as log:
        server = SimulatedServer(settings, arguments.speed, arguments.start_time, log)
        asyncio.run(_serve(server, arguments))
    return 0


@contextmanager
def _request_log(path: str | None) -> Iterator[Callable[[str], object] | None]:
    """What takes a line for each request: a file, standard error, or nobody. A line is there as soon as it was told.

    Raises:
        UsageError: the file cannot be written.
    """
    if path is None:
        yield None
    elif path == "-":
        yield lambda line: print(line, file=sys.stderr, flush=True)
    else:
        try:
            file = open(path, "a", encoding="utf-8", errors="backslashreplace", buffering=1)  # noqa: SIM115, PTH123
        except OSError as error:
            raise UsageError(f"--request-log {path}: cannot be written: {reason_of(error)}") from error
        with file:
            yield lambda line: file.write(f"{line}\n")


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

    from relaysim.sim.doors.server.http_protocol import CONNECTIONS_MAX
    from relaysim.sim.doors.server.listener import Listener, own_process

    connections_max = _affordable(arguments.connections_max or CONNECTIONS_MAX)
    listener = Listener(server, arguments.host, arguments.port, connections_max)
    stop = asyncio.Event()
    release = on_signals(stop)
    try:
        await listener.start()
    except OSError as error:
        raise cannot_listen(arguments.host, arguments.port, error) from error
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
        say(json.dumps(started, ensure_ascii=False))
    else:
        say(f"The simulated {server.api.backend.title} is at {listener.base_url}")
        say(f"  control      {listener.control_url}")
        say(f"  profile      {arguments.profile}, speed {arguments.speed:g}, seed {arguments.seed}")
        if server.api.backend.has_assistants:
            say(f"  assistants   {_assistants_hint(arguments)}")
        if (events := server.api.settings.events) is not None:
            say(f"  webhooks     {events.url}, with OPENAI_WEBHOOK_SECRET={events.secret}")
        say(f"  clients      OPENAI_BASE_URL={listener.base_url}, with {_keys_hint(arguments)}")
    own_process()
    await stop.wait()
    release()  # a second signal ends the process at once
    await listener.stop()
    _say_counts(server, as_json=arguments.json)


def on_signals(stop: asyncio.Event) -> Any:
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


def cannot_listen(host: str, number: int, error: OSError) -> Exception:
    """What is wrong with the options `--host` and `--port`."""
    import socket

    from relaysim.scenarios.problems import Problem, ScenarioError

    port = f"--port {number}"
    if error.errno == errno.EADDRINUSE:
        problem = Problem(port, "", "is in use", "give another port, or 0 for a free one")
    elif error.errno == errno.EACCES:
        problem = Problem(port, "", "may not be listened on by this user", "give one above 1023, or 0 for a free one")
    else:
        message = reason_of(error)
        what = "is no host of this machine" if isinstance(error, socket.gaierror) else "cannot be listened on"
        problem = Problem(f"--host {host}", "", f"{what}: {message}", "give 127.0.0.1, or 0.0.0.0 for everywhere")
    return ScenarioError([problem])


def _warn_of_strangers(host: str) -> None:
    import ipaddress

    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    if not local:
        message = "whoever reaches this machine can use the simulator and, through its control API, change it"
        print(f"relaysim: warning: --host {host}: {message}", file=sys.stderr)


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
        say(json.dumps({**counts, "simulator_errors": server.errors}, ensure_ascii=False))
        return
    message = f"{counted(server.requests, 'request')}, {counted(server.faults_fired, 'fault')} fired"
    if never:
        message += f"; never fired: {', '.join(never)}"
    if server.errors:
        message += f"; {counted(server.errors, 'error')} of the simulator itself, see above"
    say(message)
