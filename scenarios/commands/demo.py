"""The command `demo`: a chat page in the browser, answered by the relay as a program, on the simulated API."""

from __future__ import annotations

import argparse

from relaysim.scenarios.commands.command_line import UsageError, say
from relaysim.scenarios.commands.serve import cannot_listen, on_signals, port_number

PORT = 8019


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "--port",
        type=port_number,
        default=PORT,
        metavar="N",
        help=f"where the page is, 0: a free port; by default {PORT}",
    )


def run(arguments: argparse.Namespace) -> int:
    """The command."""
    import asyncio
    import socket

    from relaysim.scenarios.problems import ScenarioError
    from relaysim.sim.outside.programs import ProgramStartError

    try:
        listening = socket.create_server(("127.0.0.1", arguments.port))
    except OSError as error:
        problem = cannot_listen("127.0.0.1", arguments.port, error)
        raise UsageError(str(problem)) if isinstance(problem, ScenarioError) else problem from error
    with listening:
        try:
            asyncio.run(_run(listening))
        except ProgramStartError as error:
            raise UsageError(" ".join(str(error).split())) from error
    return 0


async def _run(listening: object) -> None:
    import asyncio
    import socket

    from relaysim.scenarios.demo.running import run as run_demo

    assert isinstance(listening, socket.socket)
    stop = asyncio.Event()
    on_signals(stop)
    await run_demo(listening, stop, _say_ready)


def _say_ready(url: str) -> None:
    say(f"The chat is at {url}")
    say("  Write as Ana, Bruno or Clara. Two copies of relaysim-relay answer, with a Valkey, on the simulated API.")
    say("  Try: two messages within a second; then kill the copy that answers, or send Redis away for 5 s.")
    say("  Ctrl-C ends all of it.")
